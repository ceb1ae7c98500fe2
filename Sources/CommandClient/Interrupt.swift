import CLinux

/// What Ctrl-C tells on stderr: it ends the command, not the job that the command waits for.
enum Interrupt {
    /// Has it tell where the job is found again, until the next call; nil for nothing.
    static func tell(of job: String?) {
        clinux_say_at_interrupt(job.map(text))
    }

    private static func text(_ job: String) -> String {
        // A terminal has shown ^C, and perhaps a bar, on the line.
        (Terminal.isError ? "\n" : "")
            + Terminal.printable(
                "martlet: job \(job) goes on; martlet result --wait \(job) prints its result, "
                    + "martlet cancel \(job) stops it\n")
    }
}
