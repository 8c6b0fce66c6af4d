// What a grammar may cost. All of it is known before it is spent.

/// Bounds on a grammar and on the work of following it; what is beyond them is refused with a ``GrammarError``.
///
/// They are far above what a useful grammar needs (an enumeration of 20,000 words has 120,000 elements), and low enough
/// that a server can take grammars from strangers.
public enum GrammarLimits {
  /// Bytes of the text.
  public static let textSize = 1 << 20
  /// How deep groups and repetitions may stand inside each other; threads with small stacks follow them.
  public static let nesting = 100
  /// Rules, those made for repeated groups included.
  public static let rules = 50_000
  /// Characters, classes and names of all rules once every repetition is written out. One takes 16 bytes.
  public static let elements = 300_000
  /// Different tokens that are named.
  public static let tokens = 1000
  /// Steps to find the tokens that one place of a text allows: an element, or a byte of the vocabulary, looked at. The
  /// time is some hundredths of a second.
  public static let steps = 8_000_000
  /// Bytes for the states that a text can be in and what they allow, besides the masks.
  public static let stateMemory = 32 << 20
  /// Bytes for the tokens that states allow.
  public static let maskMemory = 8 << 20
}
