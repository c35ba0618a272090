import Testing

/// The shop as its users meet it: processes, sockets, signals, files. One at a time, because each needs the machine.
@Suite(.serialized) struct IntegrationTests {}
