/// What content codings a client takes (RFC 9110, section 12.5.3).
package enum AcceptEncoding {
    /// The first of `offered` among those of the highest weight; nil when none is acceptable or the
    /// plain content is liked better.
    package static func choice(_ field: String, offered: [String]) -> String? {
        let weights = parse(field)
        func weight(_ coding: String) -> Int? {
            weights.first { $0.coding == coding }?.weight
        }
        let any = weight("*")
        var best: (coding: String, weight: Int)?
        for coding in offered {
            let weight = weight(coding) ?? any ?? 0
            if weight > best?.weight ?? 0 { best = (coding, weight) }
        }
        guard let best, best.weight >= weight("identity") ?? 0 else { return nil }
        return best.coding
    }

    /// Codings with their weights in thousandths; malformed members are left out.
    private static func parse(_ field: String) -> [(coding: String, weight: Int)] {
        field.listMembers().compactMap { member in
            let parts = member.listMembers(by: ";")
            guard let coding = parts.first?.lowercased(), !coding.isEmpty else { return nil }
            guard parts.count > 1 else { return (coding, 1000) }
            guard parts.count == 2, parts[1].lowercased().hasPrefix("q="),
                let weight = weight(parts[1].dropFirst(2).utf8)
            else { return nil }
            return (coding, weight)
        }
    }

    /// RFC 9110, section 12.4.2: 0 or 1 with up to three decimals, not over 1; in thousandths.
    private static func weight(_ text: Substring.UTF8View) -> Int? {
        guard let first = text.first, first == UInt8(ascii: "0") || first == UInt8(ascii: "1"),
            text.count <= 5
        else { return nil }
        var weight = Int(first - UInt8(ascii: "0")) * 1000
        guard text.count > 1 else { return weight }
        guard text.dropFirst().first == UInt8(ascii: ".") else { return nil }
        var place = 100
        for octet in text.dropFirst(2) {
            guard octet.isDigit else { return nil }
            weight += Int(octet - UInt8(ascii: "0")) * place
            place /= 10
        }
        return weight <= 1000 ? weight : nil
    }
}
