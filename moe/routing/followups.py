"""Messages that say nothing by themselves: what people write about the answer before."""

FOLLOW_UPS = (
    "please shorten it", "a bit shorter", "too long", "make this longer", "can you expand on that",
    "explain it more simply", "explain again in other words", "say that again", "please continue", "keep going",
    "next", "and then?", "how so?", "why is that?", "what does that mean?", "is that right?", "that is not correct",
    "I don't get it", "this doesn't work", "you made a mistake", "please fix it", "try it another way",
    "another one please", "one more example", "show me an example", "more details", "could you rephrase this",
    "change the tone", "rewrite this", "the first one", "what about the other one?", "and the rest?",
    "summarise it", "yes", "no", "ok thanks", "great, thank you", "hello", "good morning", "I see", "do that",
    "can you improve it", "do the same again",
    "kürzer bitte", "mach das länger", "fasse das zusammen", "erkläre es einfacher", "noch einmal bitte",
    "mehr details", "weitere beispiele", "mach weiter", "wieso?", "was bedeutet das?", "stimmt das?",
    "das stimmt nicht", "das funktioniert nicht", "das verstehe ich nicht", "formuliere das um", "und das zweite?",
    "ja", "nein", "vielen dank", "hallo",
    "más corto por favor", "hazlo más largo", "resúmelo", "explícalo mejor", "otra vez por favor", "más detalles",
    "dame otro ejemplo", "sigue", "¿y luego?", "¿por qué es así?", "¿qué significa eso?", "¿estás seguro?",
    "eso no es correcto", "no funciona", "no lo entiendo", "reescríbelo", "¿y el segundo?", "sí", "muchas gracias",
    "hola",
)
