import CLinux
import Glibc
import Pools

/// Gives memory that was freed back to the system: the allocator keeps, for good, what lies in small
/// pieces below the last one in use, and after many slow clients that is most of what they had.
///
/// Only in a quiet moment, since it would be fetched again: when much is spare and no more is in use
/// than at the look before.
struct SpareMemory {
    /// Bytes that are worth it.
    private static let least = 32 << 20
    private static let pause = Duration.seconds(10)

    private var before = 0
    /// What was resident, and spare, when the last was given back, or less if there was since.
    ///
    /// The allocator counts what it has given back as spare still.
    private var floor = Sizes(resident: 0, spare: 0)

    private struct Sizes {
        var resident: Int
        var spare: Int

        static func now() -> Sizes {
            Sizes(
                resident: ProcessMemory.residentBytes(of: getpid()), spare: clinux_spare_bytes())
        }
    }

    /// Looks now and then, until the task is cancelled; blocks for a moment.
    static func care() async {
        var spare = SpareMemory()
        while (try? await Task.sleep(for: pause)) != nil { spare.look() }
    }

    private mutating func look() {
        let now = Sizes.now()
        defer { before = now.resident }
        floor.resident = min(floor.resident, now.resident)
        floor.spare = min(floor.spare, now.spare)
        let grown = max(now.resident - floor.resident, now.spare - floor.spare)
        let isQuiet = now.resident <= before + Self.least / 4
        guard isQuiet, now.spare > Self.least, grown > Self.least else { return }
        clinux_give_back_spare()
        floor = Sizes.now()
    }
}
