/// This very server.
package enum Release {
    /// Also the version of the functions that are compiled in.
    package static let version = "0.1.0"
}
