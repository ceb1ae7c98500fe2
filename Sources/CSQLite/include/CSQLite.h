#ifndef CSQLITE_H
#define CSQLITE_H

/* Has SQLite not count the memory that it takes, for which it would hold a lock of the whole process at each
   allocation: sqlite3_config, which Swift cannot call. To be called before the first connection is opened; later it
   changes nothing. Returns SQLite's result code. */
int csqlite_forgo_memory_statistics(void);

#endif
