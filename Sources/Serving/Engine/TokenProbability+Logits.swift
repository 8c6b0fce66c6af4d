// From logits to the log-probabilities that clients ask for.

import LlamaHost
import Platform

extension TokenProbability {
  /// The natural log-probability of `token` among all, and of the `count` most probable ones.
  ///
  /// Cost: two passes over the vocabulary.
  init(token: Int32, logits: LogitRow, alternatives count: Int, tokenizer: Tokenizer) {
    var largest = -Float.infinity
    for logit in logits where logit > largest { largest = logit }
    var sum = 0.0
    // The best so far, best first; few enough for a plain list.
    var best: [(token: Int32, logit: Float)] = []
    for (index, logit) in logits.enumerated() {
      sum += Double(exp(logit - largest))
      guard count > 0, best.count < count || logit > best[best.count - 1].logit else { continue }
      if best.count == count { best.removeLast() }
      best.insert((Int32(index), logit), at: best.firstIndex { $0.logit < logit } ?? best.count)
    }
    let normalizer = largest + Float(log(sum))
    self.init(
      bytes: tokenizer.bytes(of: token, renderSpecial: true), logProbability: logits[Int(token)] - normalizer,
      alternatives: best.map {
        Alternative(
          bytes: tokenizer.bytes(of: $0.token, renderSpecial: true), logProbability: $0.logit - normalizer)
      })
  }
}
