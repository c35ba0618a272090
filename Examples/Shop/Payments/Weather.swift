import Dovetail
import Foundation

/// Bad weather on purpose: a share of requests is slow, fails, is declined, or is done and its answer lost.
///
/// `SHOP_WEATHER=calm` turns it off, `stormy` (the default) on, `hanging` never answers. `SHOP_BUG` plants a mistake that the demo's invariants have to find.
struct Weather: Sendable {
    var slow = 0.05
    var failing = 0.06
    var lost = 0.04
    var unheard = 0.04
    var declined = 0.12
    var hanging = false
    var bug: String?

    static var fromEnvironment: Weather {
        var weather = Weather()
        let environment = ProcessInfo.processInfo.environment
        weather.bug = environment["SHOP_BUG"]
        switch environment["SHOP_WEATHER"] {
        case "calm": (weather.slow, weather.failing, weather.lost, weather.unheard) = (0, 0, 0, 0)
        case "hanging": weather.hanging = true
        default: break
        }
        return weather
    }

    /// Something goes wrong before anything is done.
    func beforeWork() async throws {
        if hanging { try await Task.sleep(for: .seconds(3600)) }
        if Double.random(in: 0..<1) < slow { try await Task.sleep(for: .milliseconds(400)) }
        if Double.random(in: 0..<1) < failing {
            throw Problem("bank-unavailable", status: 503)("the bank does not answer")
        }
    }

    /// It was done, and the answer does not come through: this once, or for some orders ever.
    func afterWork(_ orderID: String) async throws {
        if Double.random(in: 0..<1) < lost || hits("line", orderID, unheard) { try await Task.sleep(for: .seconds(30)) }
    }

    /// Whether the bank declines an order's card.
    func declines(_ orderID: String) -> Bool { hits("card", orderID, declined) }

    /// Whether an order is among a share of them; the same each time it is asked.
    private func hits(_ what: String, _ orderID: String, _ share: Double) -> Bool {
        Double(UniqueID.derived(from: what, orderID).low % 1000) < share * 1000
    }

    var timesCharged: Int { bug == "double-charge" ? 2 : 1 }
    var losesRefunds: Bool { bug == "lost-refund" }
}
