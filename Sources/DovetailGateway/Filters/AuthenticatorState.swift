import DovetailCore
import NIOCore

/// An authenticator as one loop uses it: tokens that were verified, and those that are being verified.
///
/// A token that is known costs a hash and a comparison. One that is not is verified off the loop while its requests are
/// parked; the same token at the same time is verified once.
final class AuthenticatorState {
    private struct Entry {
        let token: [UInt8]
        let verified: VerifiedToken
    }

    private struct Pending {
        let token: [UInt8]
        var waiting: [Exchange]
    }

    private static let generation = 2048
    private static let maximumPending = 512
    private static let maximumWaiting = 4096

    let verifier: JWTVerifier
    /// Verified tokens by hash in two generations: the older is dropped when the younger is full, so 4096 at most.
    private var young: [Int: Entry] = [:]
    private var old: [Int: Entry] = [:]
    private var pending: [Int: Pending] = [:]
    private var waiting = 0

    init(_ verifier: JWTVerifier) {
        self.verifier = verifier
    }

    /// Tokens being verified right now.
    var pendingCount: Int { pending.count }

    /// The principal of a token that was verified before and is still valid.
    func find(_ token: UnsafeRawBufferPointer, now: Int64) -> VerifiedPrincipal? {
        let hash = AuthenticatorState.hash(token)
        if let entry = young[hash] {
            return entry.verified.expires > now && token.equals(entry.token) ? entry.verified.principal : nil
        }
        guard let entry = old[hash], entry.verified.expires > now, token.equals(entry.token) else { return nil }
        insert(entry, hash)
        return entry.verified.principal
    }

    /// Verifies a token for an exchange, which is told on `worker`'s loop. False if too much is being verified already.
    func verify(_ token: [UInt8], for exchange: Exchange, on worker: Worker) -> Bool {
        guard waiting < AuthenticatorState.maximumWaiting else { return false }
        let hash = token.withUnsafeBytes(AuthenticatorState.hash)
        if let known = pending[hash] {
            guard known.token == token else { return false }
            waiting += 1
            pending[hash]?.waiting.append(exchange)
            return true
        }
        guard pending.count < AuthenticatorState.maximumPending else { return false }
        waiting += 1
        pending[hash] = Pending(token: token, waiting: [exchange])
        let state = NIOLoopBound(self, eventLoop: worker.loop)
        let loop = worker.loop
        let verifier = verifier
        Task.detached {
            let result: Result<VerifiedToken, TokenError>
            do throws(TokenError) {
                result = .success(try await verifier.verifyFetching(token))
            } catch {
                result = .failure(error)
            }
            loop.execute { [result] in state.value.finished(hash, result) }
        }
        return true
    }

    private func finished(_ hash: Int, _ result: Result<VerifiedToken, TokenError>) {
        guard let done = pending.removeValue(forKey: hash) else { return }
        waiting -= done.waiting.count
        if case .success(let verified) = result { insert(Entry(token: done.token, verified: verified), hash) }
        for exchange in done.waiting where !exchange.isOver {
            switch result {
            case .success(let verified): exchange.authenticated(as: verified.principal)
            case .failure(let error): exchange.rejectToken(error)
            }
        }
    }

    private func insert(_ entry: Entry, _ hash: Int) {
        if young.count >= AuthenticatorState.generation {
            old = young
            young = [:]
        }
        young[hash] = entry
    }

    /// A hash under the process's random seed, so that nobody outside can aim for a collision.
    private static func hash(_ token: UnsafeRawBufferPointer) -> Int {
        var hasher = Hasher()
        hasher.combine(bytes: token)
        return hasher.finalize()
    }
}
