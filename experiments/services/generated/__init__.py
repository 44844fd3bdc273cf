"""Made-up experiments of any size: rows as the loop would have left them, without a trial run.

For tests, benchmarks and screenshots; called by ``./autotune manage generate``. ``wish`` says what
is wanted and refuses what makes no sense, ``course`` works out how it all went (numbers only), and
``rows`` writes it. The same wish gives the same experiment: all but ids, keys and the day.
"""
