/// Parts of traffic rules as a configuration file names them.
extension ConfigurationType where Value == Int64 {
    /// A day, whose beginning in UTC is meant, in seconds since 1970.
    static var date: ConfigurationType {
        text("a date such as 2026-10-01", pattern: "^[0-9]{4}-[0-9]{2}-[0-9]{2}$", example: 0) { text in
            let parts = text.split(separator: "-", omittingEmptySubsequences: false).map { part in
                part.utf8.allSatisfy { (48...57).contains($0) } ? Int(part) : nil
            }
            guard text.utf8.count == 10, parts.count == 3, let year = parts[0], let month = parts[1],
                let day = parts[2], year >= 1970, (1...12).contains(month)
            else { return nil }
            let isLeap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0
            let days = [31, isLeap ? 29 : 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31]
            guard (1...days[month - 1]).contains(day) else { return nil }
            let before = year - 1
            let daysBefore = before * 365 + before / 4 - before / 100 + before / 400 - 719_162
            return Int64(daysBefore + days[..<(month - 1)].reduce(0, +) + day - 1) * 86_400
        }
    }
}

extension ConfigurationType where Value == String {
    /// A version's name, which may be a number.
    static var versionName: ConfigurationType {
        let schema: SchemaValue = [
            "anyOf": [["type": "string", "pattern": "^[A-Za-z0-9][A-Za-z0-9._-]*$"], ["type": "number"]]
        ]
        return scalar("a version such as 2 or 2026-10-01", schema: schema, example: "1") { text in
            VersionName.isValid(text) ? text : nil
        }
    }

    /// The URL of a page.
    static var link: ConfigurationType {
        text("a URL such as https://shop.example/changes", pattern: "^https?://[!#-;=?-~]+$", example: "https://a") {
            text in
            let isLink =
                (text.hasPrefix("https://") || text.hasPrefix("http://"))
                && text.utf8.allSatisfy { $0 > 32 && $0 < 127 && $0 != 34 && $0 != 60 && $0 != 62 }
            return isLink && text.utf8.count > 8 ? text : nil
        }
    }

    /// A route's path as ``routePath``, or a regular expression behind a tilde. What is wrong with an expression is said by who reads it.
    static var routePattern: ConfigurationType {
        text(
            "a path such as /api, /files/{name} or /legacy/**, or an expression such as ~ ^/items/(?<id>[0-9]+)$",
            pattern: "^(/[!-~]*|~ ?[!-~]+)$", example: "/"
        ) { text in text.hasPrefix("~") ? text : RoutePath.isValid(text) ? text : nil }
    }
}

/// The name of a version.
enum VersionName {
    static func isValid(_ text: String) -> Bool {
        guard let first = text.utf8.first, first < 128,
            Character(UnicodeScalar(first)).isLetter || (48...57).contains(first)
        else { return false }
        return text.utf8.allSatisfy { byte in
            (48...57).contains(byte) || (65...90).contains(byte) || (97...122).contains(byte)
                || [45, 46, 95].contains(byte)
        }
    }
}

extension ConfigurationType.Keys {
    /// Names of versions.
    static var versions: ConfigurationType.Keys {
        ConfigurationType.Keys(pattern: "^[A-Za-z0-9][A-Za-z0-9._-]*$", rule: "a version such as 2 or 2026-10-01") {
            VersionName.isValid($0)
        }
    }
}

extension ConfigurationType where Value == PlatformConfiguration.Versions.Place {
    /// Where a request says its version.
    static var versionPlace: ConfigurationType {
        text("header:name or path", pattern: "^(path|header:[!#$%&'*+.^_`|~0-9A-Za-z-]+)$", example: .path) { text in
            if text == "path" { return .path }
            guard text.hasPrefix("header:"), HTTPToken.isValid(text.dropFirst(7)) else { return nil }
            return .header(String(text.dropFirst(7)))
        }
    }
}
