// Formats of JSON Schema's strings, as regular expressions. Each allows no more than its standard does, so that whoever
// checks an answer takes it.

enum TextFormats {
  /// The regular expression of a format; nil for one that is not known here.
  static func pattern(_ format: String) -> String? { patterns[format].map { "^(?:\($0))$" } }

  /// Formats that say how a text is used, and not which texts are allowed.
  static let unrestricted: Set<String> = ["password", "path", "binary"]

  /// Patterns that need more than a regular language as they are written, and others that allow some of their texts.
  static let knownPatterns = [
    // Pydantic's decimals: signs and points alone are no number.
    #"^(?!^[-+.]*$)[+-]?0*\d*\.?\d*$"#: #"^[+-]?\d{1,20}(?:\.\d{1,20})?$"#
  ]

  // RFC 3339, section 5.6. Days are those of their months, leap years included.
  private static let date =
    #"[1-9]\d{3}-(?:(?:0[13578]|1[02])-(?:0[1-9]|[12]\d|3[01])|(?:0[469]|11)-(?:0[1-9]|[12]\d|30)"#
    + #"|02-(?:0[1-9]|1\d|2[0-8]))|(?:[1-9]\d(?:0[48]|[2468][048]|[13579][26])|(?:[2468][048]|[13579][26])00)-02-29"#
  private static let time =
    #"(?:[01]\d|2[0-3]):[0-5]\d:[0-5]\d(?:\.\d{1,6})?(?:Z|[+-](?:[01]\d|2[0-3]):[0-5]\d)"#
  // RFC 3339, appendix A.
  private static let duration: String = {
    let time = #"T(?:\d{1,4}H(?:\d{1,4}M(?:\d{1,4}S)?)?|\d{1,4}M(?:\d{1,4}S)?|\d{1,4}S)"#
    let date = #"(?:\d{1,4}Y(?:\d{1,4}M(?:\d{1,4}D)?)?|\d{1,4}M(?:\d{1,4}D)?|\d{1,4}D)"#
    return "P(?:\(date)(?:\(time))?|\(time)|" + #"\d{1,4}W)"#
  }()
  private static let label = #"[A-Za-z0-9](?:[A-Za-z0-9-]{0,30}[A-Za-z0-9])?"#
  private static let domain = "(?:\(label)\\.){1,4}[A-Za-z]{2,12}"
  private static let octet = #"(?:25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)"#
  private static let address = "(?:\(octet)\\.){3}\(octet)"
  private static let longAddress = "(?:[0-9a-f]{1,4}:){7}[0-9a-f]{1,4}"
  // RFC 3986, with the schemes that web clients take. At most 2083 characters, which is pydantic's limit.
  private static let uri: String = {
    let character = #"(?:[A-Za-z0-9._~!$&'()*+,;=:@-]|%[0-9A-F]{2})"#
    return "https?://\(domain)(?::[1-9]\\d{1,3})?(?:/\(character){0,60}){0,8}(?:\\?\(character){0,100})?"
  }()

  private static func uuid(_ version: String) -> String {
    #"[0-9a-f]{8}-[0-9a-f]{4}-"# + version + #"[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}"#
  }

  private static let patterns = [
    "date": date, "time": time, "date-time": "(?:\(date))T\(time)", "duration": duration,
    "uuid": "[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}", "uuid1": uuid("1"), "uuid3": uuid("3"),
    "uuid4": uuid("4"), "uuid5": uuid("5"), "uuid6": uuid("6"), "uuid7": uuid("7"), "uuid8": uuid("8"),
    "email": #"[A-Za-z0-9_%+-]{1,15}(?:\.[A-Za-z0-9_%+-]{1,15}){0,3}@"# + domain, "hostname": domain,
    "uri": uri,
    "ipv4": address, "ipv6": longAddress, "ipvanyaddress": "\(address)|\(longAddress)",
    "byte": "(?:[A-Za-z0-9+/]{4}){0,200}",
    "base64": "(?:[A-Za-z0-9+/]{4}){0,200}", "base64url": "(?:[A-Za-z0-9_-]{4}){0,200}",
  ]
}
