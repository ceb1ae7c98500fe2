import HTTPWire

/// The values of a route's places in one request's path.
///
/// They are kept as bounds of the path's bytes and decoded when asked for.
package struct PathParameters: Sendable {
    /// A route has at most so many places.
    static let most = 4

    private var names: [String] = []
    private var path: [UInt8] = []
    private var bounds = InlineArray<4, Range<Int>>(repeating: 0..<0)
    private(set) var count = 0

    /// The decoded value of a place; nil when the route has no such place.
    package subscript(name: String) -> String? {
        for index in 0..<min(count, names.count) where names[index] == name {
            let raw = path[bounds[index]]
            return PercentEncoding.decode(String(decoding: raw, as: UTF8.self))
        }
        return nil
    }

    mutating func push(_ range: Range<Int>) {
        bounds[count] = range
        count += 1
    }

    mutating func pop() { count -= 1 }

    mutating func complete(names: [String], path: [UInt8]) {
        self.names = names
        self.path = path
    }
}
