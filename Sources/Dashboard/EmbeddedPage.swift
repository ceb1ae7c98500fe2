import CEmbedded
import WebServer

/// A file of the dashboard as it is answered.
struct EmbeddedPage: Sendable {
    let path: String
    let response: HTTPResponse

    init(_ file: embedded_file) {
        let name = String(cString: file.name)
        let bytes = Array(UnsafeBufferPointer(start: file.bytes, count: file.size))
        path = Self.path(of: name)
        var response = HTTPResponse(200, type: Self.type(of: name), bytes)
        response.fields = [
            ("ETag", Self.tag(bytes)),
            // Asked for anew each time, so that an upgraded server never meets old scripts.
            ("Cache-Control", "no-cache"),
            ("Content-Security-Policy", Self.policy(of: name)),
            ("Cross-Origin-Opener-Policy", "same-origin"),
        ]
        self.response = response
    }

    private static func path(of name: String) -> String {
        switch name {
        case "index.html": "/"
        case "docs.html": "/docs"
        default: "/dashboard/\(name)"
        }
    }

    private static func type(of name: String) -> String {
        switch name.split(separator: ".").last {
        case "html": "text/html; charset=utf-8"
        case "css": "text/css; charset=utf-8"
        case "svg": "image/svg+xml"
        default: "text/javascript; charset=utf-8"
        }
    }

    /// What a page may load and do (Content Security Policy, level 3).
    ///
    /// The reference has its style within and no script. The dashboard may not even make elements
    /// of text, so that what jobs return can never become part of the page.
    private static func policy(of name: String) -> String {
        let common = "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
        if name == "docs.html" {
            return "default-src 'none'; style-src 'unsafe-inline'; img-src data:; \(common)"
        }
        return "default-src 'self'; object-src 'none'; \(common); "
            + "require-trusted-types-for 'script'; trusted-types 'none'"
    }

    /// FNV-1a of the content: differs between versions, and need not resist an attacker.
    private static func tag(_ bytes: [UInt8]) -> String {
        var hash: UInt64 = 0xcbf2_9ce4_8422_2325
        for byte in bytes { hash = (hash ^ UInt64(byte)) &* 0x0100_0000_01b3 }
        return "\"\(String(hash, radix: 16))\""
    }
}
