import DovetailTesting

/// What an account decides, as a test says it: throws what is not as expected.
func accountScenarios() throws {
    let events = MoneyAccount.events
    let rich = Scenario(MoneyAccount.aggregate)
        .given(events.moved(.init(account: "a", cents: 1000, currency: "EUR")))

    try rich.when { try $0.move(-400, of: "a") }
        .then(events.moved(.init(account: "a", cents: -400, currency: "EUR")))
        .thenState { $0.cents == 600 }

    try rich.when { try $0.move(-1001, of: "a") }
        .thenRefused(AccountsAPI.overdrawn("there are 1000 cents"))

    // As it was stored years ago, and still is.
    try Scenario(MoneyAccount.aggregate)
        .given(stored: "account.moved", version: 1, #"{"account":"a","euros":7}"#)
        .when { try $0.move(-700, of: "a") }
        .thenState { $0.cents == 0 }
}
