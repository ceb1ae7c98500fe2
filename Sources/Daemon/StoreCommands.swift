import ArgumentParser
import Jobs
import SQLiteStore

/// Which store a command is about.
struct StoreOptions: ParsableArguments {
    @Option(
        name: .customLong("data"), help: "Folder of the store. (default: as of martlet serve)")
    var given: String?

    /// The one that the server would use.
    var data: String {
        let flags = given.map { ["data": [$0]] } ?? [:]
        return SettingSources(flags: flags, environment: processEnvironment(), file: nil)
            .configuration.data
    }
}

struct CompactCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "compact",
        abstract: "Gives the free room in the store back to the disk; the server must be stopped.",
        discussion: "It needs as much free room as the store's file has, for as long as it lasts.")

    @OptionGroup var store: StoreOptions

    func run() throws {
        let (before, after) = try refusing { () throws(StoreError) in
            try StoreUpkeep.compact(store.data)
        }
        print("\(store.data): \(before) bytes before, \(after) bytes now")
    }
}

struct BackupCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "backup", abstract: "Copies the store into a file while the server runs.",
        discussion: """
            The copy is the store at one moment. To restore it: stop the server, and put the file \
            into an empty data folder as martlet.sqlite.
            """)

    @Argument(help: "The file to make; it must not be there.")
    var file: String

    @OptionGroup var store: StoreOptions

    func run() throws {
        let bytes = try refusing { () throws(StoreError) in
            try StoreUpkeep.backUp(store.data, to: file)
        }
        print("\(file): \(bytes) bytes")
    }
}

struct DoctorCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "doctor", abstract: "Examines the store; exits with 1 if something is wrong.",
        discussion: """
            Looks also while the server runs. With --repair, which wants it stopped, what the jobs \
            themselves tell is made anew: indexes, counts, tags; the file is copied before.
            """)

    @Flag(help: "Mend what is safe to mend.")
    var repair = false

    @OptionGroup var store: StoreOptions

    func run() throws {
        let report = try refusing { () throws(StoreError) in
            repair ? try StoreDoctor.repair(store.data) : try StoreDoctor.examine(store.data)
        }
        for finding in report.findings {
            print("\(finding.isMended ? "mended" : "wrong"): \(finding.text)")
        }
        if let copy = report.copy { print("The store as it was is \(copy)") }
        let left = report.findings.count { !$0.isMended }
        let use = report.isInUse ? ", in use by a server" : ""
        let verdict = left == 0 ? "sound" : "\(left) findings"
        print("\(store.data): \(report.jobs) jobs, \(verdict)\(use)")
        if left > 0 { throw ExitCode(1) }
    }
}

/// Turns an error of the store into a sentence for a person.
private func refusing<Value>(_ body: () throws(StoreError) -> Value) throws -> Value {
    do {
        return try body()
    } catch {
        throw Refusal(description: "\(error)")
    }
}
