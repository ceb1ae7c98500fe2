import CLinux
import Glibc
package import Jobs
import RawJSON

/// The folder or file given with `--functions`: Python files and executables.
package struct FunctionFolder: Sendable, Equatable {
    package let path: String

    package init(path: String) { self.path = path }

    /// One entry of the folder that may hold functions.
    package struct Entry: Sendable, Equatable {
        package let path: String
        let isExecutable: Bool
        // What tells a changed file from an unchanged one.
        let size: Int
        let inode: UInt
        let modifiedSeconds: Int
        let modifiedNanoseconds: Int

        package var isPython: Bool { path.hasSuffix(".py") }
    }

    /// The regular files of the folder, by path; hidden ones and those in subfolders left out.
    ///
    /// Compare two listings to see whether anything has changed.
    package func entries() -> [Entry] {
        if let single = Self.entry(path), single.isPython || single.isExecutable { return [single] }
        guard let folder = opendir(path) else { return [] }
        defer { closedir(folder) }
        var found: [Entry] = []
        while let item = readdir(folder) {
            let name = String(cString: clinux_entry_name(item))
            if name.hasPrefix(".") || name.hasPrefix("_") { continue }
            if let entry = Self.entry(path + "/" + name) { found.append(entry) }
        }
        return found.sorted { $0.path < $1.path }
    }

    private static func entry(_ path: String) -> Entry? {
        var status = stat()
        guard stat(path, &status) == 0, status.st_mode & S_IFMT == S_IFREG else { return nil }
        return Entry(
            path: path, isExecutable: access(path, X_OK) == 0, size: Int(status.st_size),
            inode: UInt(status.st_ino), modifiedSeconds: status.st_mtim.tv_sec,
            modifiedNanoseconds: status.st_mtim.tv_nsec)
    }

    /// The executables among the entries, as functions named by the file without its ending.
    package static func commands(in entries: [Entry]) -> [Function] {
        entries.filter { $0.isExecutable && !$0.isPython }.map { entry in
            let file = entry.path.split(separator: "/").last.map(String.init) ?? entry.path
            let name = file.split(separator: ".").first.map(String.init) ?? file
            return Function(
                name: name, runtime: .command, pool: .process, pools: [.process],
                documentation:
                    "Runs \(file): arguments as JSON on stdin, result as JSON on stdout.",
                parameters: RawJSON(literal: "{}"), source: entry.path,
                version: Fingerprint.ofFile(entry.path))
        }
    }
}
