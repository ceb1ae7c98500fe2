import Glibc
import Synchronization

/// A moment of wall time, in microseconds since 1970 UTC.
package struct Timestamp: Hashable, Comparable, Sendable, CustomStringConvertible {
    package var microseconds: Int64

    package init(microseconds: Int64) {
        self.microseconds = microseconds
    }

    /// Wall time, which does not jump when the system's clock is set; see `SteadyClock`.
    package static func now() -> Timestamp {
        clock.withLock { clock in
            Timestamp(
                microseconds: clock.read(
                    wall: microseconds(CLOCK_REALTIME), uptime: microseconds(CLOCK_BOOTTIME)))
        }
    }

    private static let clock = Mutex(
        SteadyClock(wall: microseconds(CLOCK_REALTIME), uptime: microseconds(CLOCK_BOOTTIME)))

    private static func microseconds(_ clock: clockid_t) -> Int64 {
        var time = timespec()
        clock_gettime(clock, &time)
        return Int64(time.tv_sec) * 1_000_000 + Int64(time.tv_nsec) / 1000
    }

    package static func < (left: Timestamp, right: Timestamp) -> Bool {
        left.microseconds < right.microseconds
    }

    /// A moment `seconds` later; stays within the years that can be written.
    package func adding(seconds: Double) -> Timestamp {
        let end = 253_402_300_799_000_000.0  // the last second of the year 9999
        let sum = Double(microseconds) + seconds * 1_000_000
        return Timestamp(microseconds: Int64(min(max(sum, 0), end)))
    }

    /// Seconds from `earlier` to this moment.
    package func seconds(since earlier: Timestamp) -> Double {
        Double(microseconds - earlier.microseconds) / 1_000_000
    }

    /// RFC 3339 in UTC with microseconds: `2026-01-31T09:30:00.000000Z`.
    ///
    /// A moment outside of the years 0000 to 9999 is written as the nearest in them.
    package var description: String {
        String(unsafeUninitializedCapacity: Self.textLength) { buffer in
            write(to: buffer)
            return Self.textLength
        }
    }

    /// Octets of the text.
    package static let textLength = 27

    /// Writes the text to a buffer that has room for it.
    ///
    /// Digits are put two by two, since each job that is shown has up to five times.
    package func write(to buffer: UnsafeMutableBufferPointer<UInt8>) {
        let moment = min(max(microseconds, Self.first), Self.last)
        let (days, clock) = moment.floorDivided(by: 86_400_000_000)
        let date = CivilDate(daysSince1970: days)
        let (second, fraction) = clock.quotientAndRemainder(dividingBy: 1_000_000)
        let room = UnsafeMutableRawBufferPointer(buffer)
        let pairs = UnsafeRawPointer(Self.digitPairs.utf8Start)
        func put(_ value: Int64, at place: Int) {
            let pair = pairs.loadUnaligned(fromByteOffset: 2 * Int(value), as: UInt16.self)
            room.storeBytes(of: pair, toByteOffset: place, as: UInt16.self)
        }
        func put(_ mark: Unicode.Scalar, at place: Int) { buffer[place] = UInt8(ascii: mark) }
        put(date.year / 100, at: 0)
        put(date.year % 100, at: 2)
        put("-", at: 4)
        put(date.month, at: 5)
        put("-", at: 7)
        put(date.day, at: 8)
        put("T", at: 10)
        put(second / 3600, at: 11)
        put(":", at: 13)
        put(second / 60 % 60, at: 14)
        put(":", at: 16)
        put(second % 60, at: 17)
        put(".", at: 19)
        put(fraction / 10_000, at: 20)
        put(fraction / 100 % 100, at: 22)
        put(fraction % 100, at: 24)
        put("Z", at: 26)
    }

    /// The numbers from 0 to 99.
    private static let digitPairs: StaticString = """
        0001020304050607080910111213141516171819202122232425262728293031323334353637383940414243444546\
        4748495051525354555657585960616263646566676869707172737475767778798081828384858687888990919293\
        949596979899
        """

    /// The first and the last microsecond that RFC 3339 can write.
    private static let first: Int64 = -62_167_219_200_000_000
    private static let last: Int64 = 253_402_300_799_999_999

    /// Reads RFC 3339 with `Z` or an offset and any number of fraction digits; nil when malformed.
    package init?(_ text: String) {
        var reader = DigitReader(text)
        guard let year = reader.number(4), reader.skip("-"), let month = reader.number(2),
            reader.skip("-"), let day = reader.number(2), reader.skip("Tt "),
            let hour = reader.number(2), reader.skip(":"), let minute = reader.number(2),
            reader.skip(":"), let second = reader.number(2),
            (1...12).contains(month), hour < 24, minute < 60, second <= 60,
            day >= 1, day <= CivilDate.days(inMonth: month, of: year)
        else { return nil }
        let fraction = reader.skip(".") ? reader.fraction() : 0
        guard let fraction, let offset = reader.offset(), reader.isAtEnd else { return nil }
        let days = CivilDate(year: year, month: month, day: day).daysSince1970
        let clock = hour * 3600 + minute * 60 + second - offset
        microseconds = (days * 86_400 + clock) * 1_000_000 + fraction
    }
}

/// A day of the Gregorian calendar; the arithmetic is Howard Hinnant's `days_from_civil`.
private struct CivilDate {
    let year: Int64
    let month: Int64
    let day: Int64

    init(year: Int64, month: Int64, day: Int64) {
        (self.year, self.month, self.day) = (year, month, day)
    }

    init(daysSince1970: Int64) {
        let (era, dayOfEra) = (daysSince1970 + 719_468).floorDivided(by: 146_097)
        let yearOfEra =
            (dayOfEra - dayOfEra / 1460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
        let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
        let shifted = (5 * dayOfYear + 2) / 153
        day = dayOfYear - (153 * shifted + 2) / 5 + 1
        month = shifted < 10 ? shifted + 3 : shifted - 9
        year = yearOfEra + era * 400 + (month <= 2 ? 1 : 0)
    }

    var daysSince1970: Int64 {
        let shiftedYear = month <= 2 ? year - 1 : year
        let (era, yearOfEra) = shiftedYear.floorDivided(by: 400)
        let shifted = month > 2 ? month - 3 : month + 9
        let dayOfYear = (153 * shifted + 2) / 5 + day - 1
        return era * 146_097 + yearOfEra * 365 + yearOfEra / 4 - yearOfEra / 100 + dayOfYear
            - 719_468
    }

    static func days(inMonth month: Int64, of year: Int64) -> Int64 {
        switch month {
        case 2: year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) ? 29 : 28
        case 4, 6, 9, 11: 30
        default: 31
        }
    }
}

/// Reads fixed-width numbers from a text's bytes.
private struct DigitReader {
    private var rest: ArraySlice<UInt8>

    init(_ text: String) { rest = ArraySlice(Array(text.utf8)) }

    var isAtEnd: Bool { rest.isEmpty }

    mutating func number(_ width: Int) -> Int64? {
        guard rest.count >= width else { return nil }
        var value: Int64 = 0
        for byte in rest.prefix(width) {
            guard (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) else { return nil }
            value = value * 10 + Int64(byte - UInt8(ascii: "0"))
        }
        rest = rest.dropFirst(width)
        return value
    }

    /// Takes one byte if it is among `choices`.
    mutating func skip(_ choices: String) -> Bool {
        guard let first = rest.first, choices.utf8.contains(first) else { return false }
        rest = rest.dropFirst()
        return true
    }

    /// Microseconds of the digits after the point; digits past the sixth are cut.
    mutating func fraction() -> Int64? {
        var value: Int64 = 0
        var digits = 0
        while let digit = number(1) {
            if digits < 6 { value = value * 10 + digit }
            digits += 1
        }
        guard digits > 0 else { return nil }
        for _ in min(digits, 6)..<6 { value *= 10 }
        return value
    }

    /// Seconds east of UTC.
    mutating func offset() -> Int64? {
        if skip("Zz") { return 0 }
        let sign: Int64 = rest.first == UInt8(ascii: "-") ? -1 : 1
        guard skip("+-"), let hours = number(2), skip(":"), let minutes = number(2),
            hours < 24, minutes < 60
        else { return nil }
        return sign * (hours * 3600 + minutes * 60)
    }
}

extension Int64 {
    fileprivate func floorDivided(by divisor: Int64) -> (quotient: Int64, remainder: Int64) {
        let (quotient, remainder) = quotientAndRemainder(dividingBy: divisor)
        return remainder < 0 ? (quotient - 1, remainder + divisor) : (quotient, remainder)
    }
}
