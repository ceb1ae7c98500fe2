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
                let weight = Double(parts[1].dropFirst(2)), (0...1).contains(weight)
            else { return nil }
            return (coding, Int(weight * 1000))
        }
    }
}
