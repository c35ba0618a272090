import DovetailHTTP
import Testing

@Suite struct HTTPAddressTests {
    @Test(arguments: [
        ("127.0.0.1:8080", HTTPAddress.tcp(host: "127.0.0.1", port: 8080)),
        ("[::1]:0", .tcp(host: "::1", port: 0)),
        ("http://payments.internal:8081/", .tcp(host: "payments.internal", port: 8081)),
        ("unix:data/admin.sock", .unix(path: "data/admin.sock")),
    ])
    func readsWhatConfigurationSays(text: String, address: HTTPAddress) {
        #expect(HTTPAddress(text) == address)
        #expect(HTTPAddress(address.description) == address)
    }

    @Test(arguments: [
        "", "host", ":80", "host:", "host:70000", "host:-1", "::1:80", "https://host:1", "unix:", "a/b:1", "u@h:1",
    ])
    func refusesWhatIsNoAddress(text: String) {
        #expect(HTTPAddress(text) == nil)
    }
}
