import DovetailCore

extension Exchange {
    /// Whether the principal has every scope that the route requires; false if the request was answered.
    func authorise(for route: CompiledRoute) -> Bool {
        guard route.claims.isEmpty || hasClaims(for: route) else { return false }
        guard !route.scopes.isEmpty else { return true }
        guard let principal, route.scopes.isSubset(of: principal.principal.scopes) else {
            let scopes = route.scopes.sorted().joined(separator: " ")
            reject(
                .forbidden, Problem("forbidden", status: 403, detail: "this needs the scopes: \(scopes)"),
                fields: [("www-authenticate", "Bearer error=\"insufficient_scope\", scope=\"\(scopes)\"")])
            return false
        }
        return true
    }
}
