import DovetailCore
import DovetailEvents
import Foundation
import HTTPTypes

/// What a fuzzer throws bytes at: see scripts/fuzz. The first byte chooses what reads the rest.
///
/// Whatever is taken in has to say itself again, and say the same; a crash or a trap is a finding by itself.
enum Fuzz {
    static func test(_ bytes: [UInt8]) {
        guard let choice = bytes.first else { return }
        let rest = Array(bytes.dropFirst())
        readers[Int(choice) % readers.count](rest)
    }

    /// The gateway's are its own, which a program that is built for others to use does not show.
    private static var readers: [@Sendable ([UInt8]) -> Void] {
        #if DEBUG || FUZZING
            events + GatewayFuzz.readers
        #else
            events
        #endif
    }

    private static let events: [@Sendable ([UInt8]) -> Void] = [
        json, structured, binary, { _ = try? CloudEvent.batch(json: $0, atMost: 100) }, filter,
    ]

    private static func json(_ bytes: [UInt8]) {
        guard let value = try? JSON.decode(JSONValue.self, from: bytes), let again = try? JSON.encode(value) else {
            return
        }
        precondition((try? JSON.decode(JSONValue.self, from: again)) == value, "JSON that does not say itself again")
    }

    private static func structured(_ bytes: [UInt8]) {
        guard let event = try? CloudEvent(json: bytes) else { return }
        precondition((try? CloudEvent(json: event.json)) == event, "an event that does not say itself again")
        let draft = event.draft
        precondition(draft.id == event.draft.id && !draft.type.isEmpty)
    }

    /// Lines of headers, an empty line, the body.
    private static func binary(_ bytes: [UInt8]) {
        var headers = HTTPFields()
        var lines = bytes.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false)[...]
        while let line = lines.popFirst(), !line.isEmpty {
            let parts = line.split(separator: UInt8(ascii: ":"), maxSplits: 1, omittingEmptySubsequences: false)
            guard parts.count == 2, let name = HTTPField.Name(String(decoding: parts[0], as: UTF8.self)) else {
                continue
            }
            headers.append(HTTPField(name: name, value: String(decoding: parts[1], as: UTF8.self)))
        }
        let body = Array(lines.joined(separator: [UInt8(ascii: "\n")]))
        guard let event = try? CloudEvent.read(headers, body, atMost: 10).first else { return }
        precondition((try? CloudEvent(json: event.json))?.id == event.id, "an event that does not say itself again")
    }

    private static func filter(_ bytes: [UInt8]) {
        guard let filter = EventFilter(String(decoding: bytes, as: UTF8.self)) else { return }
        precondition(EventFilter(filter.description) == filter, "a filter that does not say itself again")
    }
}

#if FUZZING
    private typealias Arguments = UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>

    @_silgen_name("LLVMFuzzerRunDriver")
    private func runFuzzer(
        _ count: UnsafeMutablePointer<CInt>, _ arguments: UnsafeMutablePointer<Arguments?>,
        _ test: @convention(c) (UnsafePointer<UInt8>?, Int) -> CInt
    ) -> CInt

    /// The package manager gives every program's entry the name of its product.
    @_cdecl("fuzz_inputs_main")
    func fuzz(_ count: CInt, _ arguments: UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>?) -> CInt {
        var (count, arguments) = (count, arguments)
        return runFuzzer(&count, &arguments) { start, count in
            Fuzz.test(Array(UnsafeBufferPointer(start: start, count: count)))
            return 0
        }
    }
#else
    /// Without a fuzzer: the inputs of files, as a finding is looked at again.
    @main
    struct Main {
        static func main() throws {
            for path in CommandLine.arguments.dropFirst() {
                Fuzz.test([UInt8](try Data(contentsOf: URL(fileURLWithPath: path))))
            }
        }
    }
#endif
