"""Words that deny a text or turn it round, for ``marks``: each line of a kind, opposites beside each other."""

from __future__ import annotations

from typing import Final

_NEGATIONS: Final = """
not no never none nobody nothing nowhere neither nor without cannot except unless hardly barely rarely
nicht kein keine keinen keinem keiner nie niemals ohne weder
ne pas jamais sans aucun aucune rien ni
nunca sin ningún ninguna ninguno nada tampoco
non mai senza nessun nessuno nessuna niente
não nem sem nenhum nenhuma
не нет ни без никогда нельзя
bez nigdy nic żaden
"""

_OPPOSITES: Final = """
off out up down left right before after above below over under inside outside front back top bottom
north south east west first last next previous old new oldest newest early late earlier later earliest latest
min max more less fewer few many much most least best worst high low higher lower highest lowest
long short longer shorter longest shortest large small larger smaller largest smallest big bigger biggest
fast slow faster slower fastest slowest hot cold warm cool cheap cheaper expensive
open opened close closed start started stop stopped begin end push pull lock unlock add added remove removed
buy bought sell sold win won lose lost rise fall gain loss profit
true false yes all any some only every each both either always sometimes often once again since until till
than versus vs plus minus times half double twice third quarter
one two three four five six seven eight nine ten eleven twelve hundred thousand million billion
second seconds minute minutes hour hours day days week weeks month months year years
daily weekly monthly yearly annual annually today tomorrow yesterday tonight morning evening
monday tuesday wednesday thursday friday saturday sunday
january february march april june july august september october november december
who whom whose when where why he she him her his hers
male female man woman men women mother father husband wife son daughter
"""

_STEMS: Final = """
enabl disabl activat deactivat active inactive increas decreas minim maxim ascend descend
encrypt decrypt compress decompress encod decod serializ deserializ upload download import export inbound outbound
accept reject approv deny deni allow forbid forbad block grant revok includ exclud
connect disconnect install uninstall subscrib unsubscrib attach detach assembl disassembl
insert delet creat destroy borrow lend lent credit debit deposit withdraw
intern extern public privat local remote mandatory optional requir permanent temporar positive negative
success fail legal illegal possible impossible valid invalid correct incorrect complet incomplet
secure insecure direct indirect
"""

DENYING: Final = frozenset(_NEGATIONS.split())
"""Negations of English, German, French, Spanish, Italian, Portuguese, Russian and Polish, a line for each."""

TURNING: Final = frozenset(_OPPOSITES.split())
"""English words with an opposite, or that one of their kind may stand in for; of on/off and in/out the rarer alone."""

TURNING_STEMS: Final = tuple(_STEMS.split())
"""Beginnings of such words, which are inflected."""
