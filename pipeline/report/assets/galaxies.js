// The galaxies, and what is read off their probabilities and votes.
const data = JSON.parse(find("#data").textContent);

const starts = [];
data.questions.reduce((start, question) => { starts.push(start); return start + question.answers.length; }, 0);
const answersOf = (p, q) => p.slice(starts[q], starts[q] + data.questions[q].answers.length);
const asked = (p, q) => answersOf(p, q).reduce((sum, share) => sum + share, 0);
const usuallyAsked = (p, q) => asked(p, q) > 0.5 - 1e-5; // what is rounded may add up to a little less
const mostProbable = (p, q) => {
  const shares = answersOf(p, q);
  const most = Math.max(...shares);
  return most > 0 ? shares.indexOf(most) : -1;
};

// Whether the network and the volunteers choose differently: in a question that at least half of the volunteers
// got to, or, where none is named, in the class.
const disagree = (galaxy, q) => q === null
  ? galaxy.class !== galaxy.votesClass
  : usuallyAsked(galaxy.votes, q) && mostProbable(galaxy.p, q) !== mostProbable(galaxy.votes, q);

const badgeOf = (cls) => {
  const { code, color, ink } = data.classes[cls];
  const badge = make("span", "badge", code);
  badge.style.setProperty("--c", color);
  badge.style.setProperty("--i", ink);
  badge.setAttribute("aria-hidden", "true");
  return badge;
};
const classNameOf = (cls) => data.classes[cls].name;
