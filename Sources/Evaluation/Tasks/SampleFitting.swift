// A sample of exactly the length that was asked for, in the model's own tokens.

/// Finds the longest sample that fits.
package struct SampleFitting {
  let task: any EvaluationTask
  /// Most tokens of prompt and answer together.
  let length: Int
  /// Tokens of the longest prompt of a sample, one for each question.
  let promptTokens: (TaskSample) throws -> Int

  package init(
    task: any EvaluationTask, length: Int, promptTokens: @escaping (TaskSample) throws -> Int
  ) {
    self.task = task
    self.length = length
    self.promptTokens = promptTokens
  }

  /// Good enough: what is missing to the length is less than this many tokens.
  private static let slack = 4

  /// The longest sample whose prompt and answer have at most `length` tokens; one more unit of haystack would be
  /// too long, or fewer than four tokens are missing.
  ///
  /// Throws ``TaskError/lengthTooShort(task:length:needed:)`` when the shortest sample is too long.
  package func fit(_ request: TaskRequest) throws -> TaskSample {
    let budget = length - task.answerTokens
    func measure(_ size: Int) throws -> (sample: TaskSample, tokens: Int) {
      var request = request
      request.size = size
      let sample = task.sample(request)
      return (sample, try promptTokens(sample))
    }
    var low = 0
    var (best, lowTokens) = try measure(0)
    guard lowTokens <= budget else {
      throw TaskError.lengthTooShort(task: task.name, length: length, needed: lowTokens + task.answerTokens)
    }
    // No unit is cheaper than half a token, so this is too long.
    var high = 2 * max(1, budget) + 256
    var highTokens = Int.max
    var perUnit = 8.0
    var isBisecting = false
    while high - low > 1, budget - lowTokens >= Self.slack {
      var guess = low + Int(Double(budget - lowTokens) / perUnit)
      // Interpolation closes in from one side; halving in turn bounds the steps.
      if isBisecting, highTokens < .max { guess = low + (high - low) / 2 }
      guess = min(high - 1, max(low + 1, guess))
      let (sample, tokens) = try measure(guess)
      isBisecting = highTokens < .max && !isBisecting
      if tokens <= budget {
        if tokens > lowTokens { perUnit = Double(tokens - lowTokens) / Double(guess - low) }
        (low, lowTokens, best) = (guess, tokens, sample)
      } else {
        if tokens > lowTokens { perUnit = Double(tokens - lowTokens) / Double(guess - low) }
        (high, highTokens) = (guess, tokens)
      }
    }
    return best
  }
}
