import RawJSON
import Testing

@Suite struct RawJSONTests {
    static let valid = [
        "null", " true ", "-0", "1e400", "0.10", "1E+2", "\"\"", "\"\\u0000\\ud83d\\ude00é\"",
        "[]", "[ 1 , 2 ]", "{}", "{\"a\":{\"b\":[null]}}", "12345678901234567890123",
    ]

    @Test(arguments: valid) func `valid text is taken as it stands`(text: String) throws {
        let json = try RawJSON(validating: Array(text.utf8))
        let trimmed = text.drop { $0 == " " }.reversed().drop { $0 == " " }.reversed()
        #expect(Array(json.bytes) == Array(String(trimmed).utf8))
    }

    @Test(arguments: [
        ("", 0, RawJSONError.Reason.unexpectedEnd), ("[1,]", 3, .unexpectedByte),
        ("01", 1, .badNumber), ("1.", 2, .unexpectedEnd), ("-x", 1, .badNumber),
        ("\"\\x\"", 2, .badEscape), ("\"\u{1}\"", 1, .controlCharacter), ("1 2", 2, .trailingBytes),
        ("{\"a\" 1}", 5, .unexpectedByte), ("[1", 2, .unexpectedEnd), ("nul", 3, .unexpectedEnd),
    ])
    func `the first mistake is named with its place`(
        text: String, offset: Int, reason: RawJSONError.Reason,
    ) {
        #expect(throws: RawJSONError(offset: offset, reason: reason)) {
            try RawJSON(validating: Array(text.utf8))
        }
    }

    @Test(
        arguments: [
            [0xc0, 0xaf], [0xed, 0xa0, 0x80], [0xf4, 0x90, 0x80, 0x80], [0xe2, 0x82], [0xff],
            [0x80],
        ] as [[UInt8]])
    func `bytes that are not UTF-8 are refused`(bytes: [UInt8]) {
        let quote = UInt8(ascii: "\"")
        #expect(throws: RawJSONError.self) { try RawJSON(validating: [quote] + bytes + [quote]) }
    }

    @Test func `each character is written and read wherever it stands among others`() throws {
        for length in 0..<18 {
            for place in 0...length {
                for character in (UInt8.min ... .max).map({ Unicode.Scalar($0) }) + [
                    "\u{4e2d}", "\u{1f600}",
                ] {
                    var text = String(repeating: "x", count: length)
                    text.insert(
                        Character(character),
                        at: text.index(text.startIndex, offsetBy: place))
                    var writer = JSONWriter()
                    writer.beginArray()
                    writer.value(text)
                    writer.value(text + text)
                    writer.endArray()
                    let json = try RawJSON(validating: writer.bytes)
                    #expect(json.elements().map(\.string) == [text, text + text])
                }
            }
        }
    }

    @Test func `a byte that may not stand in a string is found wherever it stands`() {
        for place in 0..<18 {
            for byte in Array(UInt8(0)..<0x20) + [0x80, 0xff] {
                var bytes = Array("\"\(String(repeating: "x", count: 17))\"".utf8)
                bytes.insert(byte, at: 1 + place)
                #expect(throws: RawJSONError.self) { try RawJSON(validating: bytes) }
            }
        }
    }

    @Test func `in a long text, too, each byte is looked at`() throws {
        let plain = [UInt8](repeating: UInt8(ascii: "x"), count: 180)
        let quote = UInt8(ascii: "\"")
        for place in plain.indices {
            for byte: UInt8 in [0x00, 0x1f, 0x0a, 0x80, 0xff, quote, 0x5c] {
                var text = plain
                text[place] = byte
                #expect(throws: RawJSONError.self) {
                    try RawJSON(validating: [quote] + text + [quote])
                }
            }
            for part in ["\u{4e2d}", "\\\"", "\u{7f}", "!#[]~"] {
                var text = plain
                text.replaceSubrange(place...place, with: part.utf8)
                let string = [quote] + text + [quote]
                let list = Array("[1,".utf8) + string + Array(", 2]".utf8)
                let json = try RawJSON(validating: list)
                #expect(json.elements().map { Array($0.bytes) }[1] == string)
                #expect(json.compacted().bytes.count == list.count - 1)
            }
        }
    }

    @Test func `a number is the double that is nearest to its text`() throws {
        var texts = ["0", "0.0", "30.0", "0.1", "123456789012345", "0.12345678901234", "-1.5"]
        texts += [
            "1e3", "1234567890123456", "0.000000000000001", "999999999999999", "9007199254740993",
        ]
        for _ in 0..<2000 {
            let digits = String(Int.random(in: 0..<1_000_000_000_000_000))
            for place in 1...digits.count where place < digits.count {
                texts.append("\(digits.prefix(place)).\(digits.dropFirst(place))")
            }
        }
        for text in texts {
            #expect(RawJSON(trusted: Array(text.utf8)[...]).double == Double(text), "\(text)")
        }
    }

    @Test func `what ends a number is found behind as many digits as there may be`() throws {
        let digits = UInt8(ascii: "0")...UInt8(ascii: "9")
        for count in 1..<20 {
            let number = Array("[-".utf8) + [UInt8](repeating: UInt8(ascii: "7"), count: count)
            for byte in UInt8.min ... .max where !digits.contains(byte) {
                let text = number + [byte] + Array("0        ]".utf8)
                if ",.eE".utf8.contains(byte) {
                    #expect(try RawJSON(validating: text).bytes.count == text.count)
                    continue
                }
                let mistake =
                    switch byte {
                    case UInt8(ascii: "]"):
                        RawJSONError(offset: number.count + 1, reason: .trailingBytes)
                    case 0x09, 0x0a, 0x0d, 0x20:
                        RawJSONError(offset: number.count + 1, reason: .unexpectedByte)
                    default: RawJSONError(offset: number.count, reason: .unexpectedByte)
                    }
                #expect(throws: mistake) { try RawJSON(validating: text) }
            }
        }
    }

    @Test func `an element ends with its own bracket wherever that stands`() throws {
        let insides = [
            "", "1", "-12.5e+10,true", "\"]}[{\"", "\"\\\"]\"", "[[],{}]",
            "{\"a]\":[{\"b\":\"}\"}]}",
            "\"YyZz_\u{7f}\",null",
        ]
        for width in 0..<18 {
            let blanks = String(repeating: " ", count: width)
            for inside in insides {
                let values = ["[\(blanks)\(inside)\(blanks)]", "{\"k\":[\(inside)]\(blanks)}", "7"]
                let text = "[" + values.joined(separator: "," + blanks) + blanks + "]"
                let json = try RawJSON(validating: Array(text.utf8))
                #expect(json.elements().map { String(decoding: $0.bytes, as: UTF8.self) } == values)
            }
        }
    }

    @Test func `nesting is limited`() throws {
        let deep = String(repeating: "[", count: 64) + String(repeating: "]", count: 64)
        _ = try RawJSON(validating: Array(deep.utf8))
        #expect(throws: RawJSONError(offset: 64, reason: .tooDeep)) {
            try RawJSON(validating: Array(("[" + deep + "]").utf8))
        }
    }

    @Test func `elements keep their bytes`() throws {
        let items = [
            "12345678901234567890123", "1e400", "-0.0", "1.10", "\"\\u0000,]\\\"\"",
            "{\"b\":1,\"a\":2,\"b\":3}", "[1,[2]]",
        ]
        let json = try RawJSON(validating: Array("[ \(items.joined(separator: " ,\n")) ]".utf8))
        #expect(json.elements().map { String(decoding: $0.bytes, as: UTF8.self) } == items)
    }

    @Test func `members are read by name and duplicates found`() throws {
        let json = try RawJSON(validating: Array("{\"a\":1,\"\\u0061\":2, \"b\" : \"x\\ny\"}".utf8))
        #expect(json.members().map(\.name) == ["a", "a", "b"])
        #expect(json.member("b")?.string == "x\ny")
        #expect(json.firstDuplicateMember() == "a")
    }

    @Test func `compacting takes white space outside strings only`() throws {
        let json = try RawJSON(validating: Array("{ \"a b\" : [ 1,\n2 ] }".utf8))
        #expect(String(decoding: json.compacted().bytes, as: UTF8.self) == "{\"a b\":[1,2]}")
    }

    @Test func `blanks go from wherever they stand, and none from strings`() throws {
        let parts = ["[", "\"a b\\\" c\"", ",", "{", "\"x\"", ":", "-1.5e3", "}", ",", "true", "]"]
        for width in 0..<10 {
            for blank in [" ", "\n", "\r\n", "\t"] {
                for place in 0...parts.count {
                    var spread = parts
                    spread.insert(String(repeating: blank, count: width), at: place)
                    let json = try RawJSON(validating: Array(spread.joined().utf8))
                    let kept = String(decoding: json.compacted().bytes, as: UTF8.self)
                    #expect(kept == parts.joined())
                }
            }
        }
    }

    @Test func `what the writer makes is valid and reads back`() throws {
        var writer = JSONWriter()
        writer.beginObject()
        writer.member("text", "a\"\\\n\u{1}é")
        writer.member("number", 3)
        writer.member("list", ["x", "y"])
        writer.endObject()
        let json = try RawJSON(validating: writer.bytes)
        #expect(json.member("text")?.string == "a\"\\\n\u{1}é")
        #expect(json.member("number")?.int == 3)
        #expect(json.member("list")?.elements().compactMap(\.string) == ["x", "y"])
    }

    @Test func `the writer's room grows with what is written, from none`() throws {
        let long = String(repeating: "x\"", count: 1000)
        for capacity in [0, 1, 7, 300] {
            var writer = JSONWriter(capacity: capacity)
            writer.beginObject()
            writer.member("least", Int.min)
            writer.member("most", Int.max)
            writer.member("plain", plain: 3) { _ = $0.initialize(fromContentsOf: "abc".utf8) }
            writer.member("long", long)
            writer.member("raw", try RawJSON(validating: Array("[1,{}]".utf8)))
            writer.key(named: "a\nb")
            writer.append(raw: [0x31, 0x32].lazy.map { $0 as UInt8 })
            writer.member("half", 0.5)
            writer.member("none", Double.nan)
            writer.endObject()
            writer.beginLine()
            writer.value(true)
            let text =
                "{\"least\":-9223372036854775808,\"most\":9223372036854775807,"
                + "\"plain\":\"abc\",\"long\":\"\(String(repeating: "x\\\"", count: 1000))\","
                + "\"raw\":[1,{}],\"a\\nb\":12,\"half\":0.5,\"none\":null}\ntrue\n"
            #expect(writer.count == text.utf8.count - 1)
            #expect(String(decoding: writer.line(), as: UTF8.self) == text)
        }
    }
}
