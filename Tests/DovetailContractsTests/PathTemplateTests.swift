import Testing

@testable import DovetailContracts

@Suite struct PathTemplateTests {
    @Test func namesItsParametersInOrder() {
        let template = PathTemplate("/users/{userID}/orders/{id}")
        #expect(template.parameters == ["userID", "id"])
        #expect(
            template.segments == [.literal("users"), .parameter("userID"), .literal("orders"), .parameter("id")])
    }

    @Test func fillsWithPercentEncodedValues() {
        let template = PathTemplate("/users/{id}/files")
        #expect(template.filled { _ in "a/b é~" } == "/users/a%2Fb%20%C3%A9~/files")
        #expect(template.filled { _ in "" } == nil)
        #expect(template.filled { _ in nil } == nil)
        #expect(PathTemplate("/").filled { _ in nil } == "/")
    }

    @Test(arguments: ["", "plain", "a b", "é☃😀", "100%", "%41", "a/b?c#d", "\u{0}\n"])
    func percentCodingGoesThereAndBack(text: String) {
        #expect(text.percentEncoded.percentDecoded == text)
        #expect(text.percentEncoded.utf8.allSatisfy { $0 < 0x80 })
    }

    @Test(arguments: ["%", "%4", "%4g", "%zz", "%ff", "%C3", "a%"])
    func refusesEscapesThatMeanNothing(text: String) {
        #expect(text.percentDecoded == nil)
    }

    @Test func readsEscapesOfEitherCase() {
        #expect("%c3%A9".percentDecoded == "é")
        #expect("a+b".percentDecoded == "a+b")
    }
}
