// Tools, reasoning and answers taken apart, by llama.cpp's chat library.

import CChatTemplates
import Foundation
import Synchronization

/// What an answer says, taken apart.
public struct ChatAnswer: Sendable, Hashable, Decodable {
  /// For whoever asked.
  public var content = ""
  /// What the model thought.
  public var reasoning = ""
  /// What it asks for.
  public var calls: [ToolCall] = []

  /// Nothing said yet.
  public init() {}
}

/// A prompt of a conversation together with the form that its answer has: a grammar, tokens that belong to it, and how
/// it is taken apart.
@safe public final class ChatFormat: @unchecked Sendable {
  private let pointer: OpaquePointer
  /// The prompt.
  package let pieces: [PromptPiece]
  /// What there is to know of it.
  let description: Description
  /// The description's grammar, nil for none.
  let grammar: Grammar?
  /// What begins the grammar, nil where it holds from the first token on.
  private let triggers: OpaquePointer?
  /// Names of the tools that an answer may call.
  private let toolNames: [String]

  struct Description: Decodable, Sendable {
    var grammar: String
    var isLazy: Bool
    var preservedTokens: [String]
    var stops: [String]
    var generationPrompt: String
    var supportsThinking: Bool
    var thinkingStart: String
    var thinkingEnds: [String]
  }

  /// Texts that end an answer.
  public var stops: [String] { description.stops }
  /// Whether answers in this form can have reasoning.
  public var supportsThinking: Bool { description.supportsThinking }
  /// Whether answers are held to a grammar, or parts of them.
  public var hasGrammar: Bool { grammar != nil }
  /// Whether the grammar holds only behind a trigger.
  var isLazy: Bool { unsafe triggers != nil }

  /// - Parameters:
  ///   - tools: what an answer may call.
  ///   - plainGrammar: of an answer, in place of the format's own.
  init(_ made: OpaquePointer, tools: [ChatTool], plainGrammar: Grammar?) throws(LlamaError) {
    unsafe pointer = unsafe made
    toolNames = tools.map(\.name)
    var pieces: [PromptPiece] = []
    for index in unsafe 0..<ct_format_piece_count(made) {
      unsafe pieces.append(PromptPiece(ct_format_piece(made, index)))
    }
    self.pieces = pieces
    do {
      let text = try unsafe TemplateProgram.text { unsafe ct_format_description(made, $0) }
      let decoder = JSONDecoder()
      decoder.keyDecodingStrategy = .convertFromSnakeCase
      description = try decoder.decode(Description.self, from: Data(text.utf8))
      grammar = try plainGrammar ?? (description.grammar.isEmpty ? nil : Grammar(description.grammar))
      var error: UnsafeMutablePointer<CChar>?
      unsafe triggers =
        unsafe description.isLazy && plainGrammar == nil && grammar != nil
        ? ct_format_triggers(made, &error) : nil
      if unsafe error != nil {
        throw unsafe LlamaError.chatTemplateUnusable(reason: TemplateProgram.take(error))
      }
    } catch {
      unsafe ct_format_free(made)
      throw error as? LlamaError ?? .chatTemplateUnusable(reason: "\(error)")
    }
  }

  deinit {
    unsafe ct_triggers_free(triggers)
    unsafe ct_format_free(pointer)
  }

  /// Takes an answer apart.
  ///
  /// - Parameters:
  ///   - text: all of it so far, with the names of ``preservedTokens(_:)``.
  ///   - isPartial: it goes on.
  /// - Returns: nil for a text that is no answer in this form.
  public func parse(_ text: String, isPartial: Bool) -> ChatAnswer? {
    var text = text
    let length = text.utf8.count
    let parsed = try? text.withUTF8 { utf8 in
      try unsafe utf8.withMemoryRebound(to: CChar.self) { characters in
        try unsafe TemplateProgram.text { error in
          unsafe ct_format_parse(pointer, characters.baseAddress, length, isPartial, error)
        }
      }
    }
    let answer = parsed.flatMap { try? JSONDecoder().decode(ChatAnswer.self, from: Data($0.utf8)) }
    guard !toolNames.isEmpty else { return answer }
    return answer.map { PlainTools.found($0, names: toolNames, isPartial: isPartial) }
  }

  /// Where in an answer the grammar begins, in bytes; nil as long as nothing has begun it.
  func grammarStart(in bytes: ArraySlice<UInt8>) -> Int? {
    guard let triggers = unsafe triggers else { return 0 }
    let place = unsafe bytes.withUnsafeBufferPointer { bytes in
      unsafe bytes.withMemoryRebound(to: CChar.self) {
        unsafe ct_triggers_find(triggers, $0.baseAddress, $0.count)
      }
    }
    return place < 0 ? nil : place
  }

  /// Control tokens that are part of what an answer says, with their names.
  public func preservedTokens(_ tokenizer: Tokenizer) -> [Int32: [UInt8]] {
    var tokens: [Int32: [UInt8]] = [:]
    for name in description.preservedTokens {
      let found = (try? tokenizer.tokenize(name, addSpecial: false, parseSpecial: true)) ?? []
      guard found.count == 1, tokenizer.isControl(found[0]) || tokenizer.bytes(of: found[0]).isEmpty else {
        continue
      }
      tokens[found[0]] = Array(name.utf8)
    }
    return tokens
  }
}

/// The formats of a template, made when they are needed for the first time.
final class ChatFormats: Sendable {
  /// What the C library knows of a template: it never changes.
  @safe private final class Library: @unchecked Sendable {
    let pointer: OpaquePointer
    init(_ made: OpaquePointer) { unsafe pointer = unsafe made }
    deinit { unsafe ct_formats_free(pointer) }
  }

  private let source: String
  private let bos, eos: String
  private let made = Mutex<Result<Library, LlamaError>?>(nil)
  private let thinks = Mutex<Bool?>(nil)

  init(source: String, bos: String, eos: String) {
    self.source = source
    self.bos = bos
    self.eos = eos
  }

  /// - Throws: ``LlamaError/chatTemplateRefused(reason:)``, ``LlamaError/chatTemplateUnusable(reason:)``.
  func apply(
    _ request: String, tools: [ChatTool] = [], plainGrammar: Grammar? = nil
  ) throws(LlamaError) -> ChatFormat {
    let library = try library()
    var error: UnsafeMutablePointer<CChar>?
    var isRefusal = false
    guard let format = unsafe ct_formats_apply(library.pointer, request, &error, &isRefusal) else {
      let reason = unsafe TemplateProgram.take(error)
      throw isRefusal ? .chatTemplateRefused(reason: reason) : .chatTemplateUnusable(reason: reason)
    }
    return try unsafe ChatFormat(format, tools: tools, plainGrammar: plainGrammar)
  }

  private func library() throws(LlamaError) -> Library {
    try made.withLock { made in
      if let made { return made }
      var error: UnsafeMutablePointer<CChar>?
      let pointer = unsafe ct_formats_create(source, source.utf8.count, bos, eos, &error)
      let result: Result<Library, LlamaError> =
        if let pointer = unsafe pointer {
          unsafe .success(Library(pointer))
        } else {
          unsafe .failure(.chatTemplateUnusable(reason: TemplateProgram.take(error)))
        }
      made = result
      return result
    }.get()
  }

  /// Whether answers can have reasoning before them.
  var supportsThinking: Bool {
    thinks.withLock { known in
      if let known { return known }
      let request = #"{"messages": [{"role": "user", "content": "Hello"}]}"#
      let thinks = (try? apply(request).supportsThinking) ?? false
      known = thinks
      return thinks
    }
  }
}
