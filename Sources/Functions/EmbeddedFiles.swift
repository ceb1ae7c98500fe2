import CEmbedded
import Glibc

/// Files of the repository that the binary carries.
package enum EmbeddedFiles {
    /// openapi.yaml.
    package static var openAPI: [UInt8] { bytes(of: embedded_openapi) }

    /// Writes the Python package `martlet` below a folder, unless it is there already as it should.
    ///
    /// - Returns: what to put on `PYTHONPATH`.
    /// - Throws: a sentence that names the file that could not be written.
    package static func installPython(below folder: String) throws(InstallError) -> String {
        let root = folder + "/python"
        for directory in [folder, root, root + "/martlet"] {
            guard mkdir(directory, 0o700) == 0 || errno == EEXIST else {
                throw InstallError(path: directory, code: errno)
            }
        }
        var count = 0
        let files = UnsafeBufferPointer(start: embedded_python(&count), count: count)
        for file in files {
            try write(bytes(of: file), to: root + "/" + String(cString: file.name))
        }
        return root
    }

    private static func bytes(of file: embedded_file) -> [UInt8] {
        Array(UnsafeBufferPointer(start: file.bytes, count: file.size))
    }

    /// Writes beside the file and renames, so that a worker never reads half of it.
    private static func write(_ bytes: [UInt8], to path: String) throws(InstallError) {
        let draft = path + ".new"
        let fd = open(draft, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o600)
        guard fd >= 0 else { throw InstallError(path: draft, code: errno) }
        let written = Glibc.write(fd, bytes, bytes.count)
        let code = errno
        close(fd)
        guard written == bytes.count else { throw InstallError(path: draft, code: code) }
        guard rename(draft, path) == 0 else { throw InstallError(path: path, code: errno) }
    }

    package struct InstallError: Error, CustomStringConvertible {
        let path: String
        let code: Int32

        package var description: String {
            "cannot write \(path): \(String(cString: strerror(code)))"
        }
    }
}
