import Glibc
import Sockets

/// The way in for what runs in the pools of a server that listens by TLS only, whose certificate is
/// for the names that others reach it by: a Unix socket in a folder of the server's user alone.
struct WorkerDoor {
    let address: ListenAddress
    private let folder: String

    /// Bytes of a Unix socket's path, without the NUL at its end (`sockaddr_un`).
    private static let longestPath = 107
    private static let name = "/server.sock"

    /// Makes the folder; nil when workers can take one of the server's own addresses.
    ///
    /// - Throws: `Refusal` when the folder cannot be made.
    init?(_ configuration: Configuration) throws {
        let isByTLSOnly = configuration.listen.allSatisfy { address in
            if case .unix = address { false } else { true }
        }
        // A sandbox shows it to nobody.
        guard configuration.tls != nil, isByTLSOnly, !configuration.isSandboxed else { return nil }
        let inData = absolute(configuration.data) + "/workers"
        let fits = (inData + Self.name).utf8.count <= Self.longestPath
        folder = fits ? try Self.makePrivate(inData) : try Self.makeTemporary()
        address = .unix(path: folder + Self.name)
    }

    /// Removes the folder when the socket is gone.
    func remove() { rmdir(folder) }

    private static func makePrivate(_ path: String) throws -> String {
        // One that is there is the last server's: the data folder is locked by this one.
        guard mkdir(path, 0o700) == 0 || errno == EEXIST, chmod(path, 0o700) == 0 else {
            throw refusal(path)
        }
        return path
    }

    private static func makeTemporary() throws -> String {
        var path = "/tmp/martlet-XXXXXX".utf8CString.map { $0 }
        guard mkdtemp(&path) != nil else { throw refusal("/tmp/martlet-…") }
        return String(decoding: path.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }

    private static func refusal(_ path: String) -> Refusal {
        Refusal(description: "cannot make \(path): \(String(cString: strerror(errno)))")
    }
}
