import Testing
import VectorIndex

@Suite struct SeededGeneratorTests {
  @Test func followsThePublishedSequence() {
    // The first outputs of SplitMix64 for seed 1234567, as published with its reference code.
    var generator = SeededGenerator(seed: 1_234_567)
    let found = (0..<5).map { _ in generator.next() }
    #expect(
      found == [
        6_457_827_717_110_365_317, 3_203_168_211_198_807_973, 9_817_491_932_198_370_423,
        4_593_380_528_125_082_431, 16_408_922_859_458_223_821,
      ])
  }

  @Test func repeatsForASeedAndDiffersBetweenSeeds() {
    var (first, again, other) = (SeededGenerator(seed: 8), SeededGenerator(seed: 8), SeededGenerator(seed: 9))
    let numbers = (0..<100).map { _ in first.next() }
    #expect(numbers == (0..<100).map { _ in again.next() })
    #expect(numbers != (0..<100).map { _ in other.next() })
    #expect(Set(numbers).count == 100)
  }
}
