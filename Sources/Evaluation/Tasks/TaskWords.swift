// Words for keys that are two words long, as RULER's: an adjective and a noun.

enum TaskWords {
  static let adjectives = """
    able amber ancient arctic autumn bitter blazing bold brave brief bright broad broken bronze calm careful cheerful \
    clever coastal cold coral cosmic crimson crooked curious dapper daring deep distant dizzy dusty eager early eastern \
    elegant empty endless faint fancy fearless fierce final fluffy foggy fragile frosty gentle giant gleaming golden \
    graceful grand hasty hidden hollow honest humble hungry icy idle ivory jolly keen kind lavish lazy little lively \
    lonely loud lucky lunar mellow merry mighty misty modest mossy muddy narrow nimble noble northern odd olive orange \
    patient plain polite proud purple quick quiet rapid rare restless royal rustic salty scarlet secret shiny silent \
    silver simple sleepy smooth snowy solar southern stormy strange sturdy sunny swift tall tender tidy tiny velvet \
    vivid warm western wild windy wise witty wooden young zealous
    """.split(separator: " ").map(String.init)

  static let nouns = """
    acorn anchor apple arrow autumn badger bakery balcony banner barrel basket beacon beaver bicycle blanket bottle \
    branch breeze bridge bucket butter button cabin camel candle canyon carpet castle cavern cellar chapel cherry \
    chimney circle cliff clover coffee comet compass copper corner cottage cricket crystal curtain dolphin donkey dragon \
    drawer eagle ember engine falcon feather fiddle finger forest fountain garden garlic ginger glacier goblet grape \
    guitar hammer harbor hazel helmet heron hornet island jacket jasmine jungle kettle kitchen ladder lagoon lantern \
    lemon letter lizard lobster locket magnet mango maple marble meadow melon mirror mitten monkey mountain muffin \
    napkin needle nutmeg oasis orchard otter oyster paddle palace panther parrot pebble pencil pepper piano pigeon \
    pillow pirate planet pocket pony pumpkin puzzle quarry rabbit radish raven ribbon river robin rocket saddle sailor \
    salmon sandal saucer shadow shovel signal spider squirrel stable stream summit tailor teapot temple thimble thunder \
    tiger timber trumpet tulip tunnel turtle valley violin wagon walnut whistle willow window winter wizard zebra
    """.split(separator: " ").map(String.init)

  /// `count` different keys: `brave-otter`; with two adjectives when there are more than half of all pairs.
  static func keys(_ count: Int, random: inout TaskRandom) -> [String] {
    let pairs = adjectives.count * nouns.count
    let isLong = count > pairs / 2
    return random.distinct(count, below: isLong ? pairs * adjectives.count : pairs).map { number in
      let pair = "\(adjectives[number / nouns.count % adjectives.count])-\(nouns[number % nouns.count])"
      return isLong ? "\(adjectives[number / pairs])-\(pair)" : pair
    }
  }
}
