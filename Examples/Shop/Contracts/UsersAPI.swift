import Dovetail

/// Who the customers are.
public struct UsersAPI: Contract {
    public let name = "users", version = 1
    public let get = Endpoint.get("/users/{id}", Get.self, returns: User.self).requires("users:read").fails(unknownUser)

    public static let unknownUser = Problem("unknown-user", status: 404)

    public init() {}

    public struct Get: Wire { public var id: String }
    public struct User: Wire { public var id: String, email: String }
}
