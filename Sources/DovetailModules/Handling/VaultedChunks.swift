import DovetailContracts

/// The pieces of an answer, made where personal values are sealed and opened: they are asked for after the handler has returned, by a task that knows of no vault.
struct VaultedChunks: AsyncSequence, Sendable {
    let base: any AsyncSequence<[UInt8], any Error> & Sendable
    let vault: any PersonalVault

    struct Iterator: AsyncIteratorProtocol {
        var base: any AsyncIteratorProtocol<[UInt8], any Error>
        let vault: any PersonalVault

        mutating func next(isolation actor: isolated (any Actor)?) async throws -> [UInt8]? {
            var base = base
            defer { self.base = base }
            return try await PersonalData.$vault.withValue(vault) { try await base.next(isolation: actor) }
        }

        mutating func next() async throws -> [UInt8]? { try await next(isolation: nil) }
    }

    func makeAsyncIterator() -> Iterator { Iterator(base: base.makeAsyncIterator(), vault: vault) }
}
