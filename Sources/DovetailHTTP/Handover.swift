import Synchronization

/// A value that is in one hand at a time.
final class Handover<Value>: Sendable {
    private let held: Mutex<Value?>

    init(_ value: sending Value) {
        held = Mutex(value)
    }

    func take() -> sending Value? {
        held.withLock { held in
            let value = held
            held = nil
            return value
        }
    }
}
