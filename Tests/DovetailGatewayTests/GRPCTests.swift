import TestSupport
import Testing

@testable import DovetailGateway

/// Calls of gRPC, which need HTTP/2 on both sides, trailers, and streams both ways.
@Suite(.timeLimit(.minutes(1)), .serialized) struct GRPCTests {
    /// gRPC's own client and server, with a gateway between them that speaks HTTP/2 to both.
    @Test(.enabled(if: PythonOracle.has("grpc"))) func gRPCGoesThrough() async throws {
        // A port that was free a moment ago.
        let reserved = try await Backend { _ in [] }
        await reserved.stop()
        var configuration = try http2(reserved.port)
        configuration.routes[0].timeout = nil
        configuration.routes[0].maximumBodyBytes = 10_000_000
        try await withGateway(configuration, loops: 2) { gateway in
            let ports = "\(reserved.port) \(gateway.port)"
            let output = try await Task.detached { try PythonOracle.run(Self.conversation, input: ports) }.value
            #expect(
                output == """
                    unary b'echo:hello' [('x-tail', 'last')]
                    large 2000000
                    down [b'0', b'1', b'2', b'3']
                    up b'6'
                    both [b'A', b'B', b'C']
                    error FAILED_PRECONDITION no such luck
                    unknown UNIMPLEMENTED
                    deadline DEADLINE_EXCEEDED
                    cancelled True
                    many 200

                    """, "\(output)")
        }
        let other = try http2(1) {
            $0.retry = nil
            $0.connectTimeout = .milliseconds(200)
        }
        try await withGateway(other) { gateway in
            let output = try await Task.detached {
                try PythonOracle.run(Self.refusal, input: "\(gateway.port)")
            }.value
            #expect(output == "UNAVAILABLE the service cannot be reached\n")
        }
    }

    private static let conversation = """
        import grpc, sys, time, threading
        from concurrent import futures
        backend, gateway = sys.stdin.read().split()
        cancelled = threading.Event()
        def unary(data, context):
            context.set_trailing_metadata((('x-tail', 'last'),))
            return b'echo:' + data if len(data) < 100 else data
        def down(data, context):
            for number in range(4): yield str(number).encode()
        def up(stream, context):
            return str(sum(int(piece) for piece in stream)).encode()
        def both(stream, context):
            for piece in stream: yield piece.upper()
        def fails(data, context):
            context.abort(grpc.StatusCode.FAILED_PRECONDITION, 'no such luck')
        def slow(data, context):
            context.add_callback(cancelled.set)
            time.sleep(1)
            return b''
        handlers = {
            'Unary': grpc.unary_unary_rpc_method_handler(unary), 'Down': grpc.unary_stream_rpc_method_handler(down),
            'Up': grpc.stream_unary_rpc_method_handler(up), 'Both': grpc.stream_stream_rpc_method_handler(both),
            'Fails': grpc.unary_unary_rpc_method_handler(fails), 'Slow': grpc.unary_unary_rpc_method_handler(slow)}
        server = grpc.server(futures.ThreadPoolExecutor(32))
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler('t.T', handlers),))
        server.add_insecure_port('127.0.0.1:' + backend)
        server.start()
        channel = grpc.insecure_channel('127.0.0.1:' + gateway)
        answer, call = channel.unary_unary('/t.T/Unary').with_call(b'hello')
        print('unary', answer, [(k, v) for k, v in call.trailing_metadata() if k == 'x-tail'])
        print('large', len(channel.unary_unary('/t.T/Unary')(b'x' * 2000000)))
        print('down', list(channel.unary_stream('/t.T/Down')(b'')))
        print('up', channel.stream_unary('/t.T/Up')(iter([b'1', b'2', b'3'])))
        # Each answer is awaited before the next question goes out: neither direction may be held back.
        ready = threading.Semaphore(1)
        def questions():
            for piece in (b'a', b'b', b'c'):
                ready.acquire()
                yield piece
        answers = []
        for piece in channel.stream_stream('/t.T/Both')(questions()):
            answers.append(piece)
            ready.release()
        print('both', answers)
        for name, method in (('error', 'Fails'), ('unknown', 'Nothing')):
            try: channel.unary_unary('/t.T/' + method)(b'')
            except grpc.RpcError as error:
                print(name, error.code().name, *([error.details()] if name == 'error' else []))
        try: channel.unary_unary('/t.T/Slow')(b'', timeout=0.2)
        except grpc.RpcError as error: print('deadline', error.code().name)
        print('cancelled', cancelled.wait(5))
        calls = [channel.unary_unary('/t.T/Unary').future(str(i).encode()) for i in range(200)]
        print('many', sum(call.result() == b'echo:' + str(i).encode() for i, call in enumerate(calls)))
        channel.close()
        server.stop(0)
        """

    private static let refusal = """
        import grpc, sys
        channel = grpc.insecure_channel('127.0.0.1:' + sys.stdin.read().strip())
        try: channel.unary_unary('/t.T/Unary')(b'')
        except grpc.RpcError as error: print(error.code().name, error.details())
        """
}
