import Foundation
import Testing

@testable import Patterns

/// The documents say what is so: their code is the examples', their commands work, the tests that they name are there.
extension IntegrationTests {
    @Suite struct Documentation {
        /// The text of all files below a folder of the repository.
        private func sources(_ folder: String, _ suffixes: String...) throws -> [String] {
            let root = "\(Checkout.root)/\(folder)"
            let files = FileManager.default.enumerator(atPath: root)?.compactMap { $0 as? String } ?? []
            return try files.filter { file in suffixes.contains { file.hasSuffix($0) } }
                .map { try String(contentsOfFile: "\(root)/\($0)", encoding: .utf8) }
        }

        @Test("The README's first module is Examples/Hello, word for word")
        func readme() throws {
            let readme = try Markdown("README.md")
            #expect(readme.blocks("swift").map { $0.text + "\n" } == [try Checkout.text("Examples/Hello/Hello.swift")])
            #expect(readme.blocks("yaml").map { $0.text + "\n" } == [try Checkout.text("Examples/Hello/platform.yaml")])
        }

        @Test("The README's commands do what it says")
        func commands() async throws {
            let readme = try Markdown("README.md")
            let folder = try TemporaryFolder()
            let port = Ports.next()
            // As in the README, but for where the program was built and a port of its own.
            func command(_ line: String) -> String {
                line.replacing(".build/debug/hello", with: Checkout.program("hello"))
                    .replacing("Examples/Hello", with: "\(Checkout.root)/Examples/Hello").replacing(
                        ":8080", with: ":\(port)")
            }
            let lines = readme.blocks("sh").flatMap(\.lines)
            let run = try #require(lines.first { $0.contains("hello run") })
            let requests = lines.filter { $0.hasPrefix("curl") }
            #expect(requests.count == 2)

            let node = try RunningProgram(
                "sh", ["-c", "exec \(command(run))"], in: folder.path, environment: ["GATEWAY_PORT": "\(port)"],
                output: folder.path + "/log", errors: folder.path + "/log")
            var answers: [String] = []
            for request in requests {
                for attempt in 0..<200 {
                    let answer = try await Shell.run("sh", ["-c", command(request)])
                    if answer.status == 0 {
                        answers.append(answer.output)
                        break
                    }
                    #expect(attempt < 199, "\(request): \(answer.all)")
                    try await Task.sleep(for: .milliseconds(50))
                }
            }
            node.send(SIGTERM)
            let log = try String(contentsOfFile: folder.path + "/log", encoding: .utf8)
            #expect(await node.wait() == 0, "\(log)")
            #expect(answers.first == #"{"name":"Ada","text":"Hello, Ada"}"#, "\(log)")
            #expect(answers.last?.contains(#""greetings":["#) == true)

            let named = readme.text.matches(of: /(?m)^\| `([a-z]+)[ `]/).map { String($0.1) }
            #expect(named.count > 6)
            for name in Set(named) {
                let help = try await Shell.run(Checkout.program("hello"), [name, "--help"])
                #expect(help.status == 0 && help.output.contains(name), "\(name): \(help.all)")
            }
        }

        @Test("The code in the guides stands in the examples, which the compiler has read")
        func guides() throws {
            let examples = try sources("Examples", ".swift", ".yaml").map { "\n" + $0 }
            for guide in try Markdown.all where guide.path.hasPrefix("docs/") {
                for block in guide.blocks where ["swift", "yaml"].contains(block.language) {
                    #expect(
                        examples.contains { $0.contains("\n\(block.text)\n") },
                        "\(guide.path): nowhere in Examples:\n\(block.text)")
                }
            }
        }

        @Test("The scenarios of the guides hold")
        func scenarios() throws {
            try accountScenarios()
            try patientScenarios()
        }

        @Test("Every test that a guarantee names is there")
        func guarantees() throws {
            let tests = try (sources("Tests", ".swift") + sources("Sources/DovetailTesting", ".swift"))
                .joined(separator: "\n")
            let rows = try Markdown("docs/delivery-guarantees.md").text.split(separator: "\n")
                .compactMap { $0.hasPrefix("| ") ? $0.split(separator: "|").last(where: { $0 != " " }) : nil }
            var named = 0
            for row in rows where !row.contains("held by") {
                for function in row.matches(of: /`([A-Za-z]+)`/) {
                    #expect(tests.contains("func \(function.1)("), "there is no test \(function.1)")
                    named += 1
                }
                for check in row.matches(of: /"([^"]+)"/) {
                    #expect(tests.contains("\"\(check.1)\""), "there is no check \(check.1)")
                    named += 1
                }
            }
            #expect(named > 40)
        }

        @Test("No link leads nowhere")
        func links() throws {
            for document in try Markdown.all {
                let folder = URL(fileURLWithPath: "\(Checkout.root)/\(document.path)").deletingLastPathComponent()
                for link in document.links {
                    let target = folder.appendingPathComponent(link).path
                    #expect(FileManager.default.fileExists(atPath: target), "\(document.path) links to \(link)")
                }
            }
        }
    }
}
