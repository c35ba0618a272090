import NIOCore

/// Lets a connection go that does not say in time what has to come before its first request.
final class FirstWordsTimer {
    private let worker: Worker
    private let timer = WheelTimer()

    init(_ worker: Worker) { self.worker = worker }

    /// From now on there is as much time as for a request's head.
    func start(_ context: ChannelHandlerContext) {
        let bound = NIOLoopBound(context, eventLoop: context.eventLoop)
        timer.onFire = { bound.value.close(promise: nil) }
        worker.schedule(timer, at: .now.advanced(byNanoseconds: worker.snapshot.headTimeout))
    }

    /// It has said so, or is gone.
    func stop() {
        worker.cancel(timer)
        timer.onFire = nil
    }
}
