import CEmbedded
import HTTPWire
package import WebServer

/// The routes of the dashboard: pages for people, which ask the API for all that they show.
///
/// They hold nothing of the server's, so that they are served without its token: the page asks
/// for that and sends it with its own requests.
package struct DashboardRoutes: Sendable {
    private let files: [EmbeddedPage]

    package init() {
        var count = 0
        let embedded = UnsafeBufferPointer(start: embedded_dashboard(&count), count: count)
        files = embedded.map { EmbeddedPage($0) }
    }

    package var routes: [Route] {
        files.map { file in Route(.get, file.path) { _ in file.response } }
    }

    /// Paths that are open to all.
    package var paths: Set<String> { Set(files.map(\.path)) }
}
