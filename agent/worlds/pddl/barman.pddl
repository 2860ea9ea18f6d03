; Two hands, shot glasses, a shaker and dispensers: cocktails are mixed of two ingredients.
(define (domain barman)
  (:requirements :strips :typing)
  (:types hand level beverage dispenser container - object
          ingredient cocktail - beverage
          shot shaker - container)
  (:predicates
    (on-table ?it - container) (holding ?by - hand ?it - container) (free ?by - hand)
    (empty ?it - container) (clean ?it - container) (used ?it - container ?of - beverage)
    (contains ?it - container ?what - beverage) (unshaken ?it - shaker) (shaken ?it - shaker)
    (gives ?from - dispenser ?what - ingredient)
    (filled-to ?it - shaker ?how - level) (is-empty-level ?it - shaker ?how - level)
    (follows ?low ?high - level)
    (first-part ?of - cocktail ?what - ingredient) (second-part ?of - cocktail ?what - ingredient))
  (:action grasp
    :parameters (?by - hand ?it - container)
    :precondition (and (on-table ?it) (free ?by))
    :effect (and (holding ?by ?it) (not (on-table ?it)) (not (free ?by))))
  (:action leave
    :parameters (?by - hand ?it - container)
    :precondition (holding ?by ?it)
    :effect (and (on-table ?it) (free ?by) (not (holding ?by ?it))))
  (:action fill-shot
    :parameters (?it - shot ?what - ingredient ?by ?other - hand ?from - dispenser)
    :precondition (and (holding ?by ?it) (free ?other) (gives ?from ?what) (empty ?it) (clean ?it))
    :effect (and (contains ?it ?what) (used ?it ?what) (not (empty ?it)) (not (clean ?it))))
  (:action refill-shot
    :parameters (?it - shot ?what - ingredient ?by ?other - hand ?from - dispenser)
    :precondition (and (holding ?by ?it) (free ?other) (gives ?from ?what) (empty ?it) (used ?it ?what))
    :effect (and (contains ?it ?what) (not (empty ?it))))
  (:action empty-shot
    :parameters (?by - hand ?it - shot ?what - beverage)
    :precondition (and (holding ?by ?it) (contains ?it ?what))
    :effect (and (empty ?it) (not (contains ?it ?what))))
  (:action clean-shot
    :parameters (?it - shot ?of - beverage ?by ?other - hand)
    :precondition (and (holding ?by ?it) (free ?other) (empty ?it) (used ?it ?of))
    :effect (and (clean ?it) (not (used ?it ?of))))
  (:action pour-to-clean-shaker
    :parameters (?from - shot ?what - ingredient ?to - shaker ?by - hand ?low ?high - level)
    :precondition (and (holding ?by ?from) (contains ?from ?what) (empty ?to) (clean ?to)
                       (filled-to ?to ?low) (follows ?low ?high))
    :effect (and (contains ?to ?what) (empty ?from) (unshaken ?to) (filled-to ?to ?high)
                 (not (contains ?from ?what)) (not (empty ?to)) (not (clean ?to)) (not (filled-to ?to ?low))))
  (:action pour-to-used-shaker
    :parameters (?from - shot ?what - ingredient ?to - shaker ?by - hand ?low ?high - level)
    :precondition (and (holding ?by ?from) (contains ?from ?what) (unshaken ?to)
                       (filled-to ?to ?low) (follows ?low ?high))
    :effect (and (contains ?to ?what) (empty ?from) (filled-to ?to ?high)
                 (not (contains ?from ?what)) (not (filled-to ?to ?low))))
  (:action shake
    :parameters (?it - shaker ?to - cocktail ?one ?two - ingredient ?by ?other - hand)
    :precondition (and (holding ?by ?it) (free ?other) (contains ?it ?one) (contains ?it ?two)
                       (first-part ?to ?one) (second-part ?to ?two) (unshaken ?it))
    :effect (and (shaken ?it) (contains ?it ?to)
                 (not (unshaken ?it)) (not (contains ?it ?one)) (not (contains ?it ?two))))
  (:action pour-to-shot
    :parameters (?what - cocktail ?to - shot ?by - hand ?from - shaker ?high ?low - level)
    :precondition (and (holding ?by ?from) (shaken ?from) (contains ?from ?what) (empty ?to) (clean ?to)
                       (filled-to ?from ?high) (follows ?low ?high))
    :effect (and (contains ?to ?what) (filled-to ?from ?low)
                 (not (clean ?to)) (not (empty ?to)) (not (filled-to ?from ?high))))
  (:action empty-shaker
    :parameters (?by - hand ?it - shaker ?what - cocktail ?now ?none - level)
    :precondition (and (holding ?by ?it) (contains ?it ?what) (shaken ?it)
                       (filled-to ?it ?now) (is-empty-level ?it ?none))
    :effect (and (empty ?it) (filled-to ?it ?none)
                 (not (shaken ?it)) (not (contains ?it ?what)) (not (filled-to ?it ?now))))
  (:action clean-shaker
    :parameters (?by ?other - hand ?it - shaker)
    :precondition (and (holding ?by ?it) (free ?other) (empty ?it))
    :effect (clean ?it)))
