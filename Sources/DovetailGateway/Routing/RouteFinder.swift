/// Finds which routes requests take, for those who ask about many.
package struct RouteFinder {
    private let router: Router
    private let routes: [Route]

    /// A finder among routes.
    package init(_ routes: [Route]) {
        router = Router(routes)
        self.routes = routes
    }

    /// The id of the route that a request without fields takes; nil if none does. `path` is in canonical form.
    package func route(method: String, path: String, host: String?) -> String? {
        let name = Array(method.utf8)
        guard let known = name.withUnsafeBytes({ Method($0) ?? (Method.isForwarded($0) ? .other : nil) }) else {
            return nil
        }
        let bytes = name + Array(path.utf8)
        var captures = Router.Captures()
        let match = Array((host ?? "").utf8).withUnsafeBytes { host in
            bytes.withUnsafeBytes { bytes in
                router.match(
                    known, named: ByteRange(0, name.count), host: host, bytes: bytes,
                    path: ByteRange(name.count, bytes.count), captures: &captures)
            }
        }
        if case .route(let index) = match { return routes[index].id }
        return nil
    }
}
