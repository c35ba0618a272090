import DovetailCore
import NIOCore

/// A request that the gateway makes of another one: a mirrored one, or a hedge.
///
/// It is an ``Exchange`` whose client is no connection: what is written to it goes nowhere. Its worker holds it until it is over.
final class RequestCopy {
    let client: ClientConnection
    let exchange: Exchange

    /// A copy of `original` with `body`, which is whole.
    init(of original: Exchange, body: ByteBuffer, hedges: Bool) {
        client = ClientConnection(detachedFrom: original.client)
        exchange = Exchange(copying: original, client: client, body: body, hedges: hedges)
        client.deadlineTimer.onFire = { [unowned exchange] in exchange.deadlineReached() }
    }

    /// Sends it to `pool`, on the loop's next turn: whoever made it may be in the middle of composing.
    func start(to pool: UpstreamPool, deadline: MonotonicTime? = nil, ended: @escaping () -> Void) {
        let worker = exchange.worker
        worker.copies[ObjectIdentifier(self)] = self
        exchange.onCopyEnd = { [unowned self] in
            ended()
            worker.cancel(client.deadlineTimer)
            if let timer = client.attemptTimer { worker.cancel(timer) }
            let bound = NIOLoopBound((worker, ObjectIdentifier(self)), eventLoop: worker.loop)
            worker.loop.execute { bound.value.0.copies[bound.value.1] = nil }
        }
        // Nobody waits for it, and nobody would end it.
        let idle = worker.snapshot.streamTimeout.map { MonotonicTime.now.advanced(byNanoseconds: $0) }
        if let deadline = deadline ?? idle { worker.schedule(client.deadlineTimer, at: deadline) }
        let bound = NIOLoopBound((exchange, pool), eventLoop: worker.loop)
        worker.loop.execute {
            let (exchange, pool) = bound.value
            if !exchange.isOver { exchange.forward(to: pool) }
        }
    }
}
