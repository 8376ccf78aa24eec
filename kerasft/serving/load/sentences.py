"""Texts to ask about when there are none at hand: two thirds short, a quarter of some lines, a few of a paragraph."""

SHORT = (
    "A joyless film.",
    "Warm, sly and very funny.",
    "The soup was cold.",
    "I would stay there again tomorrow.",
    "Nobody answered the phone.",
    "Two hours late, and no word of regret.",
    "The second half is better than the first.",
    "It does what the box says.",
    "Our guide knew every stone of the place.",
    "The handle came off on the third day.",
    "Not bad for the price.",
    "She sings as if the room were empty.",
    "The map in the book is wrong.",
    "Good bread, bad coffee.",
    "I laughed twice, both times at the trailer.",
    "The parcel arrived before the message that it was sent.",
)
MEDIUM = (
    "We came for one night and stayed for three, because the owner told us of a path along the river that is in no "
    "guide book.",
    "The new version starts faster, but it forgets its window every time, and the search that I use all day has moved "
    "behind two menus.",
    "For a first novel this is remarkably calm: no chapter hurries, no character explains himself, and the ending "
    "arrives like weather.",
    "They changed the battery without asking, sent it back in a box that was too large, and charged me for the "
    "repair that I had refused.",
    "The acting is fine and the light is lovely, yet after forty minutes I noticed that I was counting the lamps "
    "in the background.",
    "Delivery took a week longer than promised; on the other hand the chair is solid, and the missing screw came by "
    "letter the next morning.",
)
LONG = (
    "I bought this kettle in spring to replace one that had served for eleven years, and for the first month there was "
    "nothing to say about it: it boiled water. Then the lid began to stick. A little oil helped for some days. In June "
    "the light went out, which is no great loss, but with it went the switch that should stop the kettle when it is "
    "empty, and one evening I found it dry and glowing. The shop was polite, asked for photographs, and wrote that the "
    "guarantee covers faults of manufacture and not of use. What use other than boiling water they had in mind, the "
    "letter did not say.",
    "The museum lies behind the station, in a hall where trams were once repaired, and it is worth the detour even for "
    "people who do not care for trams. Each of the nine rooms tells one year through the things that were lost in the "
    "carriages: gloves, umbrellas, a cello, a wedding cake, a letter that was never opened and still is not. The "
    "descriptions are short and in four languages. Children may ring the bells. We had planned half an hour, stayed "
    "until the warden put out the lights, and were the last but one to leave; the last was an old driver who comes "
    "every week and corrects the dates.",
)
SENTENCES = (*SHORT, *MEDIUM, *LONG)
