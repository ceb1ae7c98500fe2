import Glibc

/// Shuts a process in with bubblewrap: no network, nothing to write to but a `/tmp` of its own, and
/// of the files only those that it needs.
///
///     server ── bwrap ── bwrap (process 1 of a PID namespace) ── worker or command ── its children
///               watches   reaps; ends with bwrap, and all below it with it
///
/// Killing the outer process kills all of them: the kernel ends a namespace with its process 1.
package struct Sandbox: Sendable {
    private let options: [String]
    private let shown: [Place]

    /// - Parameters:
    ///   - program: path of bubblewrap, 0.8 or later.
    ///   - shown: absolute paths of files and folders that can be read; what is not there is left out.
    ///   - hidden: absolute paths that cannot be read though they lie in one of those: folders are
    ///     empty, files cannot be opened.
    ///   - shownAgain: absolute paths, maybe in folders that are hidden.
    ///   - variables: set inside.
    package init(
        program: String, shown: [String], hidden: [String] = [], shownAgain: [String] = [],
        variables: [String: String] = [:],
    ) {
        let system = (Self.systemFolders + Self.systemFiles).map(Place.init)
        let places = Set(shown).sorted().reduce(into: system) { places, path in
            if !places.contains(where: { $0.holds(path) }) { places.append(Place(path)) }
        }
        let masks = hidden.flatMap { path in places.compactMap { $0.inside(realPath(path)) } }
        let variables = Self.variables.merging(variables) { _, new in new }
        self.shown = places + shownAgain.map(Place.init)
        options =
            [program] + Self.namespaces + Self.kernel + places.flatMap(\.showing)
            + masks.flatMap(Self.hiding) + shownAgain.flatMap { Place($0).showing }
            + masks.filter(isFolder).flatMap { ["--remount-ro", $0] }
            + ["--remount-ro", "/", "--chdir", "/tmp"]
            + variables.sorted { $0.key < $1.key }.flatMap { ["--setenv", $0.key, $0.value] }
            + ["--"]
    }

    /// The command line that runs another one inside; its program must be absolute or on `PATH`.
    package func wrapping(_ arguments: [String]) -> [String] { options + arguments }

    /// Whether a path, if it is there, can be seen inside.
    package func shows(_ path: String) -> Bool { shown.contains { $0.holds(path) } }

    // MARK: What all have

    /// Nothing is shared with the server; the new session takes the terminal away, and no namespace
    /// can be made inside, which leaves less of the kernel to attack.
    private static let namespaces = [
        "--unshare-all", "--unshare-user", "--disable-userns", "--cap-drop", "ALL",
        "--new-session", "--die-with-parent",
    ]

    /// `/proc` is read-only as a whole: the kernel's settings in it belong to root, as which the
    /// server may run, and bubblewrap leaves them open.
    private static let kernel = [
        "--proc", "/proc", "--remount-ro", "/proc",
        "--dev", "/dev", "--perms", "1777", "--size", scratchBytes, "--tmpfs", "/dev/shm",
        "--remount-ro", "/dev", "--perms", "1777", "--size", scratchBytes, "--tmpfs", "/tmp",
    ]

    /// Of memory, for each of the two.
    private static let scratchBytes = String(1 << 30)

    private static let variables = ["HOME": "/tmp", "TMPDIR": "/tmp"]

    private static let systemFolders = [
        "/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32",
    ]

    /// Of `/etc` what programs read to run, and nothing that is secret or of others.
    ///
    /// Debian's Python has a part of itself there, by its version. From `/sys` programs learn what
    /// CPUs there are.
    private static let systemFiles =
        ["/sys/devices/system"]
        + ([
            "ld.so.cache", "ld.so.conf", "ld.so.conf.d", "alternatives", "passwd", "group",
            "nsswitch.conf", "hosts", "host.conf", "protocols", "services", "localtime",
            "timezone", "ca-certificates", "ssl/certs", "ssl/openssl.cnf", "mime.types", "magic",
            "fonts", "os-release", "python3",
        ] + (9...20).map { "python3.\($0)" }).map { "/etc/\($0)" }

    private static func hiding(_ path: String) -> [String] {
        isFolder(path) ? ["--tmpfs", path] : ["--ro-bind", "/dev/null", path]
    }
}

/// A path that can be read inside.
private struct Place {
    let path: String
    private let real: String

    init(_ path: String) {
        self.path = path
        real = realPath(path)
    }

    /// A system folder that is a link is one inside, too.
    var showing: [String] {
        if let target = link(path), !target.hasPrefix("/"), path.split(separator: "/").count == 1 {
            return ["--symlink", target, path]
        }
        return ["--ro-bind-try", path, path]
    }

    func holds(_ other: String) -> Bool { other == path || other.hasPrefix(path + "/") }

    /// How a real path is reached inside by way of this one; nil when it is not.
    func inside(_ other: String) -> String? {
        other == real || other.hasPrefix(real + "/") ? path + other.dropFirst(real.count) : nil
    }
}

/// Without links; as it is when nothing is there.
private func realPath(_ path: String) -> String {
    guard let real = realpath(path, nil) else { return path }
    defer { free(real) }
    return String(cString: real)
}

private func link(_ path: String) -> String? {
    var bytes = [CChar](repeating: 0, count: 4096)
    let count = readlink(path, &bytes, bytes.count)
    guard count > 0 else { return nil }
    return String(decoding: bytes[..<count].map { UInt8(bitPattern: $0) }, as: UTF8.self)
}

private func isFolder(_ path: String) -> Bool {
    var status = stat()
    return stat(path, &status) == 0 && status.st_mode & S_IFMT == S_IFDIR
}
