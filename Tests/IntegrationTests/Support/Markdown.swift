import Foundation

/// A document of the repository, as far as tests ask it.
struct Markdown: Sendable {
    /// A fenced block of code.
    struct Block: Sendable {
        var language: String
        var lines: [String]
        var text: String { lines.joined(separator: "\n") }
    }

    let path: String
    let text: String
    let blocks: [Block]

    init(_ path: String) throws {
        self.path = path
        text = try Checkout.text(path)
        var blocks: [Block] = []
        var open: Block?
        for line in text.split(separator: "\n", omittingEmptySubsequences: false).map(String.init) {
            if line.hasPrefix("```") {
                if let block = open { blocks.append(block) }
                open = open == nil ? Block(language: String(line.dropFirst(3)), lines: []) : nil
            } else {
                open?.lines.append(line)
            }
        }
        self.blocks = blocks
    }

    /// All documents of the repository.
    static var all: [Markdown] {
        get throws {
            let folder = try FileManager.default.contentsOfDirectory(atPath: "\(Checkout.root)/docs").sorted()
            return try
                (["README.md", "CONTRIBUTING.md", "CHANGELOG.md"]
                + folder.filter { $0.hasSuffix(".md") }.map { "docs/\($0)" }).map(Markdown.init)
        }
    }

    func blocks(_ language: String) -> [Block] { blocks.filter { $0.language == language } }

    /// Where its links lead, but for those to other sites and to places in itself.
    var links: [String] {
        text.matches(of: /\]\(([^)#\s]+)(#[^)]*)?\)/).map { String($0.1) }.filter { !$0.contains("://") }
    }
}
