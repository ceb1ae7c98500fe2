import HTTPWire

/// The values of a route's places in one request's path, decoded when asked for.
package struct PathParameters: Sendable {
    let names: [String]
    let path: [UInt8]
    let places: PathPlaces

    /// The decoded value of a place; nil when the route has no such place.
    package subscript(name: String) -> String? {
        for index in 0..<min(places.count, names.count) where names[index] == name {
            let raw = path[places[index]]
            return PercentEncoding.decode(String(decoding: raw, as: UTF8.self))
        }
        return nil
    }
}

/// Where in the bytes of a path the places of its route stand.
struct PathPlaces: Sendable {
    /// A route has at most so many.
    static let most = 4

    private var bounds = InlineArray<4, Range<Int>>(repeating: 0..<0)
    private(set) var count = 0

    subscript(index: Int) -> Range<Int> { bounds[index] }

    mutating func push(_ range: Range<Int>) {
        bounds[count] = range
        count += 1
    }

    mutating func pop() { count -= 1 }
}
