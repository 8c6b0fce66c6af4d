// Following a grammar token by token.

/// Where in a grammar a text is, and which tokens may come next.
///
/// Characters are matched byte by byte, so a token may end inside one. Tokens that end an answer may come where the
/// text is complete; other control tokens only where the grammar names them. Cost of a mask: the nodes of the
/// vocabulary's tree that the grammar leaves open, bounded by ``GrammarLimits/steps``, and nothing for a state that was
/// there before. Not for use by two threads at once.
final class GrammarMatcher {
  private let network: GrammarNetwork
  private let vocabulary: GrammarVocabulary
  private let tokenizer: Tokenizer
  /// Those that the grammar names, in the order of ``GrammarNetwork/tokens``.
  private let named: [Int32]
  /// Control tokens that show in the text, with their names.
  private let shown: [Int32: [UInt8]]
  private let beginning: GrammarStates
  private var states: GrammarStates
  private var place: GrammarPlace
  private var masks: [GrammarPlace: TokenMask] = [:]

  /// - Throws: ``GrammarError/unknownToken(_:)`` and ``GrammarError/endingToken(_:)`` for tokens that the model's
  ///   vocabulary cannot give, ``GrammarError/tooAmbiguous(limit:)``.
  init(
    _ grammar: Grammar, _ tokenizer: Tokenizer, shown: [Int32: [UInt8]] = [:]
  ) throws(GrammarError) {
    network = grammar.network
    self.shown = shown
    self.tokenizer = tokenizer
    vocabulary = tokenizer.grammarVocabulary.get(tokenizer)
    var named: [Int32] = []
    for token in network.tokens { named.append(try Self.find(token, tokenizer)) }
    self.named = named
    beginning = try GrammarStates(network)
    states = beginning
    place = GrammarPlace(state: states.start)
  }

  private static func find(_ token: GrammarToken, _ tokenizer: Tokenizer) throws(GrammarError) -> Int32 {
    let number: Int32
    let name: String
    switch token.name {
    case .number(let value):
      name = "<[\(value)]>"
      guard value < tokenizer.vocabularySize else { throw .unknownToken(name) }
      number = Int32(value)
    case .text(let text):
      name = text
      let tokens = (try? tokenizer.tokenize(text, addSpecial: false, parseSpecial: true)) ?? []
      guard tokens.count == 1 else { throw .unknownToken(name) }
      number = tokens[0]
    }
    if !token.isNegated, tokenizer.isEndOfGeneration(number) { throw .endingToken(name) }
    return number
  }

  /// Back to the beginning of the text.
  func reset() {
    states = beginning
    place = GrammarPlace(state: states.start)
    masks = [:]
  }

  /// Takes a text that the prompt, or the answer up to here, has already: from the beginning of the grammar.
  ///
  /// - Returns: whether the grammar has it; it is at its beginning otherwise.
  @discardableResult
  func begin(with bytes: [UInt8]) throws(GrammarError) -> Bool {
    reset()
    try makeRoom()
    var next = place
    for byte in bytes {
      guard let reached = try states.advance(next, byte) else {
        reset()
        return false
      }
      next = reached
    }
    place = next
    return true
  }

  /// The text of a token, nil where it has none.
  private func text(of token: Int32) -> [UInt8]? {
    shown[token] ?? (vocabulary.texts[token] ? tokenizer.bytes(of: token) : nil)
  }

  /// The tokens that may come next.
  func mask() throws(GrammarError) -> TokenMask {
    if let known = masks[place] { return known }
    try makeRoom()
    var mask = TokenMask(count: tokenizer.vocabularySize)
    try states.allow(place, vocabulary, in: &mask)
    for token in shown.keys where try successor(token) != nil { mask.insert(token) }
    if place.partial == .none {
      var excluded: Set<Int32> = []
      for index in try states.tokens(place.state) {
        if network.tokens[index].isNegated {
          excluded.insert(named[index])
        } else {
          mask.insert(named[index])
        }
      }
      // Of two tokens each is another one than the other.
      if !excluded.isEmpty {
        var others = vocabulary.texts
        if excluded.count == 1, let token = excluded.first { others.remove(token) }
        mask.formUnion(others)
      }
      if states.isComplete(place.state) { mask.formUnion(vocabulary.endings) }
    }
    if masks.count * mask.memory >= GrammarLimits.maskMemory { masks = [:] }
    masks[place] = mask
    return mask
  }

  /// Whether `token` may come next; costs its bytes.
  func allows(_ token: Int32) throws(GrammarError) -> Bool {
    if let known = masks[place] { return known[token] }
    if vocabulary.endings[token] { return isComplete }
    try makeRoom()
    return try successor(token) != nil
  }

  /// Whether the text may end here.
  var isComplete: Bool { place.partial == .none && states.isComplete(place.state) }

  /// Takes a token as the next one. One that may not come, and one that ends the answer, changes nothing.
  ///
  /// - Returns: Whether it may come.
  func accept(_ token: Int32) throws(GrammarError) -> Bool {
    if vocabulary.endings[token] { return isComplete }
    try makeRoom()
    guard let next = try successor(token) else { return false }
    place = next
    return true
  }

  private func successor(_ token: Int32) throws(GrammarError) -> GrammarPlace? {
    let text = self.text(of: token)
    var next = text == nil ? nil : place
    for byte in text ?? [] {
      guard let reached = next else { break }
      next = try states.advance(reached, byte)
    }
    guard place.partial == .none, !named.isEmpty else { return next }
    var matching: Set<Int> = []
    for index in try states.tokens(place.state) {
      let isNamed = named[index] == token
      if network.tokens[index].isNegated ? !isNamed && text != nil : isNamed {
        matching.insert(index)
      }
    }
    let other = try states.step(place.state, tokens: matching)
    guard other != GrammarStates.dead else { return next }
    // Read as a whole the token has no open end, which one place cannot say beside one that has.
    guard let next, next.partial == .none else { return GrammarPlace(state: other) }
    return GrammarPlace(state: states.union(next.state, other))
  }

  /// Begins a computation with all of its steps, and half of the memory free.
  private func makeRoom() throws(GrammarError) {
    states.steps = GrammarLimits.steps
    guard states.memory > GrammarLimits.stateMemory / 2 else { return }
    place.state = states.keepOnly(place.state)
    masks = [:]
    guard states.memory <= GrammarLimits.stateMemory / 2 else {
      throw .tooManyStates(limit: GrammarLimits.stateMemory)
    }
  }
}
