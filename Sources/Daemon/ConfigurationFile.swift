import CYaml
import Glibc
import Jobs

/// A file of settings in YAML: one mapping of names to scalars or lists of them.
struct ConfigurationFile {
    struct Entry {
        let texts: [String]
        /// From 1.
        let line: Int
    }

    let path: String
    private(set) var entries: [String: Entry] = [:]
    /// All that is wrong, each with its line.
    private(set) var problems: [String] = []

    private static let limitBytes = 1 << 20

    init(path: String) {
        self.path = path
        guard let file = fopen(path, "r") else {
            problems = ["--config cannot be read: \(path): \(String(cString: strerror(errno)))"]
            return
        }
        defer { fclose(file) }
        var bytes = [UInt8](repeating: 0, count: Self.limitBytes + 1)
        let count = fread(&bytes, 1, bytes.count, file)
        guard count <= Self.limitBytes else {
            problems = ["\(path): a file of settings has \(Self.limitBytes) bytes at most"]
            return
        }
        bytes.removeSubrange(count...)
        bytes.withUnsafeBufferPointer { read($0) }
    }

    private mutating func read(_ bytes: UnsafeBufferPointer<UInt8>) {
        var parser = yaml_parser_t()
        guard yaml_parser_initialize(&parser) == 1 else {
            problems.append("\(path): out of memory")
            return
        }
        defer { yaml_parser_delete(&parser) }
        yaml_parser_set_input_string(&parser, bytes.baseAddress, bytes.count)
        var document = yaml_document_t()
        guard yaml_parser_load(&parser, &document) == 1 else {
            let reason = parser.problem.map { String(cString: $0) } ?? "it is not valid"
            return complain(Int(parser.problem_mark.line), "this is no YAML: \(reason)")
        }
        defer { yaml_document_delete(&document) }
        // A file of comments alone has no root, and sets nothing.
        guard let root = yaml_document_get_root_node(&document) else { return }
        guard root.pointee.type == YAML_MAPPING_NODE else {
            return complain(root.line, "settings are lines of NAME: VALUE")
        }
        let pairs = root.pointee.data.mapping.pairs
        for pair in UnsafeBufferPointer(start: pairs.start, count: pairs.top - pairs.start) {
            guard let key = yaml_document_get_node(&document, pair.key),
                let value = yaml_document_get_node(&document, pair.value)
            else { continue }
            add(key, value, in: &document)
        }
    }

    private typealias Node = UnsafeMutablePointer<yaml_node_t>

    private mutating func add(_ key: Node, _ value: Node, in document: inout yaml_document_t) {
        guard let name = key.scalar else {
            return complain(key.line, "the name of a setting is a word")
        }
        guard ServerSettings.all.contains(where: { $0.name == name }) else {
            let near = Spelling.nearest(to: name, among: ServerSettings.all.map(\.name))
            let hint = near.map { " Did you mean \($0)?" } ?? ""
            return complain(key.line, "there is no setting \"\(name)\".\(hint)")
        }
        guard entries[name] == nil else { return complain(key.line, "\(name) is there twice") }
        var texts: [String] = []
        if value.pointee.type == YAML_SEQUENCE_NODE {
            let items = value.pointee.data.sequence.items
            for item in UnsafeBufferPointer(start: items.start, count: items.top - items.start) {
                guard let text = yaml_document_get_node(&document, item)?.scalar else {
                    return complain(value.line, "\(name) takes plain values")
                }
                texts.append(text)
            }
        } else if let text = value.scalar {
            texts = [text]
        } else if value.pointee.type == YAML_MAPPING_NODE {
            return complain(value.line, "\(name) takes a plain value or a list of them")
        }
        guard !texts.isEmpty else { return complain(key.line, "\(name) has no value") }
        entries[name] = Entry(texts: texts, line: key.line + 1)
    }

    private mutating func complain(_ line: Int, _ text: String) {
        problems.append("\(path):\(line + 1): \(text)")
    }
}

extension UnsafeMutablePointer<yaml_node_t> {
    /// From 0.
    fileprivate var line: Int { Int(pointee.start_mark.line) }

    /// nil of what is no scalar, or none that says anything.
    fileprivate var scalar: String? {
        guard pointee.type == YAML_SCALAR_NODE else { return nil }
        let scalar = pointee.data.scalar
        let text = String(
            decoding: UnsafeBufferPointer(start: scalar.value, count: scalar.length),
            as: UTF8.self)
        let isPlain = scalar.style == YAML_PLAIN_SCALAR_STYLE
        return isPlain && ["", "~", "null"].contains(text) ? nil : text
    }
}
