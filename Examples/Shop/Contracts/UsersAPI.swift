import Dovetail

/// Who the customers are.
public struct UsersAPI: Contract {
    public let name = "users", version = 1
    public let get = Endpoint.get("/users/{id}", Get.self, returns: User.self).requires("users:read").fails(unknownUser)

    public let changeEmail = Endpoint.put("/users/{id}/email", ChangeEmail.self).requires("users:write").fails(notYours)
    public let forget = Endpoint.delete("/users/{id}", Get.self).requires("users:write").fails(notYours)
    public let mails = Endpoint.get("/users/{id}/mails", Mails.self, returns: Page.self).requires("users:read")
        .fails(notYours)

    public let emailChanged = Event("user.email-changed", EmailChanged.self, key: \.userID)

    public static let notYours = Problem("not-yours", status: 403)
    public static let unknownUser = Problem("unknown-user", status: 404)

    public init() {}

    public struct Get: Wire { public var id: String }
    public struct Mails: Wire, Constrained {
        public var id: String, after: String?, limit: Int?
        public static let constraints: Constraints = ["limit": .range(1...1000)]
    }
    public struct Mail: Wire { public var id: String, subject: String }
    public struct Page: Wire { public var mails: [Mail] }
    public struct ChangeEmail: Wire, Constrained {
        public var id: String, email: String
        public static let constraints: Constraints = ["email": .length(3...200)]
    }
    /// Null in the place of what is forgotten.
    public struct User: Wire { public var id: String, email: Personal<String>? }
    public struct EmailChanged: Wire { public var userID: String, email: Personal<String> }
}
