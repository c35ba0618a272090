import Foundation

/// A second opinion from Python's libraries, where the machine has them.
package enum PythonOracle {
    /// Whether Python's modules, with commas between them, are there.
    package static func has(_ modules: String) -> Bool {
        (try? run("import \(modules)\nprint('yes')", input: "")) == "yes\n"
    }

    /// What a Python script prints when it is given the input.
    package static func run(_ script: String, input: String) throws -> String {
        let file = FileManager.default.temporaryDirectory.appendingPathComponent("oracle-\(UUID().uuidString)")
        try Data(input.utf8).write(to: file)
        defer { try? FileManager.default.removeItem(at: file) }
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
        process.arguments = ["python3", "-c", script]
        // Where scripts/setup puts them.
        let oracles = URL(fileURLWithPath: #filePath).deletingLastPathComponent().appendingPathComponent(
            "../../.build/oracles")
        process.environment = ProcessInfo.processInfo.environment.merging(["PYTHONPATH": oracles.path]) { $1 }
        let output = Pipe()
        process.standardInput = try FileHandle(forReadingFrom: file)
        process.standardOutput = output
        try process.run()
        let data = output.fileHandleForReading.readDataToEndOfFile()
        process.waitUntilExit()
        return String(decoding: data, as: UTF8.self)
    }
}
