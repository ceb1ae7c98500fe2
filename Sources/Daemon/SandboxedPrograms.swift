import Glibc
import Pools

/// The sandbox that `--sandbox` asks for, made for the Python there is, and tried.
struct SandboxedPrograms {
    let sandbox: Sandbox
    /// Python itself, where the setting names a script that finds it; nil when there is none, and only
    /// commands can run.
    let python: String?

    /// - Parameters:
    ///   - configuration: the server's; nil comes of one that wants no sandbox.
    ///   - package: folder of the Python package `martlet`.
    ///   - children: of the server.
    /// - Throws: `Refusal` when a sandbox is wanted and cannot be made here.
    init?(_ configuration: Configuration, package: String, children: ChildProcesses) throws {
        guard configuration.isSandboxed else { return nil }
        guard let bubblewrap = found("bwrap") else {
            throw Refusal(
                description: "--sandbox wants bubblewrap 0.8 or later: there is no bwrap on PATH."
                    + " Install the package bubblewrap; see Docs/security.md")
        }
        let python = PythonPlaces(
            of: executable(configuration.python), package: package, children: children)
        let secrets = [
            configuration.data, configuration.tokenFile, configuration.tlsKey, configuration.file,
        ]
        sandbox = Sandbox(
            program: bubblewrap,
            shown: (python?.folders ?? [])
                + ([configuration.functions].compactMap(\.self) + configuration.sandboxShows)
                .map(absolute),
            hidden: secrets.compactMap { $0.map(absolute) },
            shownAgain: [package, configuration.blobs].map(absolute),
            variables: python.map { ["PYTHONUSERBASE": $0.userBase] } ?? [:])
        self.python = python?.program
        try Self.tryOut(sandbox, children)
    }

    /// Has bubblewrap run what is no program: only where it can make the sandbox does it come to say
    /// that it cannot run that.
    private static func tryOut(_ sandbox: Sandbox, _ children: ChildProcesses) throws {
        let (_, said) = ShortProgram.run(
            sandbox.wrapping(["/"]), environment: inheritedEnvironment(), takesErrors: true,
            in: children)
        guard !said.contains("execvp /") else { return }
        let why = said.split(separator: "\n").first.map(String.init) ?? "bwrap said nothing"
        throw Refusal(
            description: "--sandbox cannot be made here: \(why)."
                + " A container or unit must allow user namespaces; see Docs/security.md")
    }
}

/// What a Python reads: its own folders and those of what is installed for it.
private struct PythonPlaces {
    let program: String
    let userBase: String
    let folders: [String]

    /// Asks Python, and has it compile the package, which cannot be done inside; nil when it does not
    /// answer.
    init?(of program: String, package: String, children: ChildProcesses) {
        let (status, output) = ShortProgram.run(
            [program, "-c", Self.question, package], environment: inheritedEnvironment(),
            in: children)
        let lines = output.split(separator: "\n", omittingEmptySubsequences: false)
            .map(String.init)
        guard status == 0, lines.count > 2 else { return nil }
        self.program = lines[0]
        userBase = lines[1]
        folders = Array(Set(lines[2...].filter { $0.hasPrefix("/") && $0 != "/" })).sorted()
    }

    private static let question = """
        import compileall, os, site, sys
        compileall.compile_dir(sys.argv[1], quiet=2)
        own = [sys.prefix, sys.exec_prefix, sys.base_prefix, os.path.dirname(os.path.realpath(sys.executable))]
        print(sys.executable, site.getuserbase(), *own, *sys.path, sep="\\n")
        """
}
