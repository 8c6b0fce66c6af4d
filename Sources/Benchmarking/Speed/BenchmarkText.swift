// Text for benchmarks when the user has none at hand.

package import LlamaHost
import VectorIndex

/// Sentences of common English words, always the same: no meaning, but the token statistics of a simple text.
///
/// Attention over random tokens, as llama-bench has them, is flatter than over any text; attention over these
/// sentences is in between. A real text is the better choice where keys read matter.
package enum BenchmarkText {
  private static let subjects = [
    "the keeper", "a sailor", "my sister", "the old doctor", "every child", "the baker", "her neighbor",
    "the teacher", "one of the guards", "a tall stranger", "the captain", "our cousin",
  ]
  private static let verbs = [
    "carried", "painted", "forgot", "remembered", "counted", "opened", "followed", "described", "repaired",
    "borrowed", "hid", "watched", "measured",
  ]
  private static let objects = [
    "the lantern", "a letter", "three maps", "the blue door", "an empty boat", "the garden wall",
    "a silver key",
    "the last page", "some bread", "the clock", "a wooden box",
  ]
  private static let endings = [
    "before the storm", "on the bridge", "without a word", "in the winter of that year",
    "because it was late",
    "near the harbor", "while the others slept", "for the second time", "as if nothing had happened",
    "at the end of the road",
  ]

  /// At least `count` tokens, the same for every call with one model.
  package static func tokens(count: Int, model: LlamaModel) throws -> [Int32] {
    var generator = SeededGenerator(seed: 2409_10516)
    var text = ""
    // A sentence has eight words or more; the loop is for vocabularies that join words.
    var sentences = count / 8 + 1
    while true {
      for _ in 0..<sentences { text += sentence(&generator) + " " }
      let tokens = try model.tokenizer.tokenize(text, addSpecial: true, parseSpecial: false)
      if tokens.count >= count { return tokens }
      sentences = max(16, sentences / 4)
    }
  }

  private static func sentence(_ generator: inout SeededGenerator) -> String {
    func pick(_ words: [String]) -> String { words[Int(generator.next() % UInt64(words.count))] }
    let text = "\(pick(subjects)) \(pick(verbs)) \(pick(objects)) \(pick(endings))."
    return text.prefix(1).uppercased() + text.dropFirst()
  }
}
